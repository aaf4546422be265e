"""Shapes in a picture are found, measured, smoothed and told apart."""

import numpy as np
from skimage import draw, feature, filters, measure, morphology, segmentation, transform

picture = np.zeros((80, 80))
picture[draw.disk((20, 20), 8)] = 1
picture[draw.disk((55, 50), 12)] = 1
labels = measure.label(picture)
areas = sorted(region.area for region in measure.regionprops(labels))
assert len(areas) == 2
assert abs(areas[1] - np.pi * 144) < 20
assert 0 < filters.threshold_otsu(filters.gaussian(picture, 2)) < 1
assert morphology.dilation(picture, morphology.disk(2)).sum() > picture.sum()
assert transform.resize(picture, (40, 40)).shape == (40, 40)
assert feature.canny(picture).any()
assert segmentation.watershed(-picture, labels).max() == 2
