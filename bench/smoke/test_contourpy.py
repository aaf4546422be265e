"""A hill has round lines of height, with and without gaps."""

import numpy as np
from contourpy import contour_generator

x, y = np.meshgrid(np.linspace(-1, 1, 81), np.linspace(-1, 1, 81))
for name in ("serial", "threaded"):
    (line,) = contour_generator(x, y, 1 - x**2 - y**2, name=name).lines(0.75)
    assert np.allclose(np.hypot(line[:, 0], line[:, 1]), 0.5, atol=0.005)
filled, _ = contour_generator(x, y, x, name="serial").filled(-0.5, 0.5)
assert len(filled) == 1
