"""Arrays are computed with, in every size of number, solved, transformed and drawn at random."""

import struct

import numpy as np

assert np.dtype(np.intp).itemsize == struct.calcsize("P")
for kind in (np.int8, np.int32, np.int64, np.uint64, np.float32, np.float64, np.longdouble, np.complex128):
    assert np.arange(10, dtype=kind).sum() == 45, kind
matrix = np.array([[4.0, 1.0], [2.0, 3.0]])
assert np.allclose(np.linalg.solve(matrix, [1.0, 2.0]), [0.1, 0.6])
assert np.allclose(sorted(np.linalg.eigvals(matrix)), [2.0, 5.0])
wave = np.sin(np.linspace(0, 2 * np.pi, 64, endpoint=False))
assert np.argmax(np.abs(np.fft.rfft(wave))) == 1
assert np.random.default_rng(7).integers(1000, size=3).tolist() == [944, 625, 684]
assert np.float64(2**53 + 2) == 2**53 + 2
assert str(np.longdouble(1) / 3)[:10] == "0.33333333"
