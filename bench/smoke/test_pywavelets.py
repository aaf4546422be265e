"""A signal is taken apart and put together again."""

import numpy as np
import pywt

x = np.sin(np.arange(64) / 3)
low, high = pywt.dwt(x, "db2")
assert np.allclose(pywt.idwt(low, high, "db2"), x)
parts = pywt.wavedec2(np.outer(x, x), "haar", level=3)
assert np.allclose(pywt.waverec2(parts, "haar"), np.outer(x, x))
assert np.allclose(pywt.dwt([1, 2, 3, 4], "haar")[0], [3 / np.sqrt(2), 7 / np.sqrt(2)])
