"""Days and the turning of the earth are as astronomers reckon, over whole arrays."""

import erfa
import numpy as np

first, second = erfa.cal2jd(np.array([2000, 2025]), 1, 1)
assert (first + second).tolist() == [2451544.5, 2460676.5]
assert abs(erfa.era00(2454388.0, 0.5) - 0.4022837240028158771) < 1e-12
assert erfa.dat(2017, 1, 1, 0.0) == 37
