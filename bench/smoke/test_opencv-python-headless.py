"""A picture is drawn, blurred, searched for circles and outlines, packed and unpacked."""

import cv2
import numpy as np

picture = np.zeros((120, 160, 3), np.uint8)
cv2.circle(picture, (80, 60), 30, (0, 128, 255), -1)
grey = cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), (5, 5), 0)
_, mask = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
assert len(outlines) == 1
assert abs(cv2.contourArea(outlines[0]) - np.pi * 900) < 150
circles = cv2.HoughCircles(grey, cv2.HOUGH_GRADIENT, 1, 50, param1=100, param2=15, minRadius=10, maxRadius=50)
assert np.allclose(circles[0][0], (80, 60, 30), atol=4)
for suffix in (".png", ".jpg"):
    packed = cv2.imencode(suffix, picture)[1]
    assert abs(int(cv2.imdecode(packed, cv2.IMREAD_COLOR)[60, 80, 2]) - 255) < 10, suffix
turned = cv2.warpAffine(picture, cv2.getRotationMatrix2D((80, 60), 90, 1), (160, 120))
assert turned[60, 80, 2] == 255
