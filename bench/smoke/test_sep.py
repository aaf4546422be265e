"""Stars are found on a picture with a background."""

import numpy as np
import sep

rows, columns = np.mgrid[0:64, 0:64]
picture = 100 + np.random.default_rng(1).normal(0, 1, (64, 64))
for row, column in ((20.0, 30.0), (45.0, 12.0)):
    picture += 200 * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 4)
background = sep.Background(picture)
assert abs(background.globalback - 100) < 2
stars = sep.extract(picture - background, 5, err=background.globalrms)
assert sorted((round(star["y"]), round(star["x"])) for star in stars) == [(20, 30), (45, 12)]
flux, _, _ = sep.sum_circle(picture - background, stars["x"], stars["y"], 5)
assert (flux > 1500).all()
