"""Moving means and medians over holes are those that numpy finds."""

import bottleneck
import numpy as np

x = np.array([1.0, np.nan, 3.0, 4.0, 10.0])
assert bottleneck.nanmean(x) == np.nanmean(x)
assert bottleneck.nanmedian(x) == np.nanmedian(x)
assert np.allclose(bottleneck.move_mean(x, 3, min_count=1), [1, 1, 2, 3.5, 17 / 3])
assert bottleneck.nansum(np.arange(10, dtype="i8") + 2**40) == 10 * 2**40 + 45
assert list(bottleneck.rankdata([30, 10, 20])) == [3, 1, 2]
