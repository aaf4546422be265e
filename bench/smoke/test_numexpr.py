"""Expressions over arrays are computed, also by several threads."""

import numexpr
import numpy as np

x = np.arange(100_000, dtype="f8")
numexpr.set_num_threads(2)
assert np.allclose(numexpr.evaluate("2 * x + sin(x) ** 2"), 2 * x + np.sin(x) ** 2)
assert numexpr.evaluate("sum(where(x > 5, 1, 0))") == len(x) - 6
n = np.arange(10, dtype="i8") + 2**40
assert (numexpr.evaluate("n * 2") == n * 2).all()
