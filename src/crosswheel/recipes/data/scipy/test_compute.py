"""Equations, integrals, transforms and statistics give the known results."""

import numpy as np
from scipy import fft, integrate, interpolate, linalg, optimize, signal, sparse, spatial, special, stats
from scipy.sparse.linalg import spsolve

a = np.array([[4.0, 1], [1, 3]])
assert np.allclose(a @ linalg.solve(a, [1, 2]), [1, 2])
assert np.allclose(linalg.svdvals(a), np.abs(linalg.eigvalsh(a))[::-1])
assert abs(integrate.quad(np.sin, 0, np.pi)[0] - 2) < 1e-10
assert abs(optimize.brentq(lambda x: x**2 - 2, 0, 2) - 2**0.5) < 1e-10
assert np.allclose(optimize.minimize(lambda p: ((p - 3) ** 2).sum(), [0, 0]).x, 3, atol=1e-4)
x = np.random.default_rng(0).normal(size=256)
assert np.allclose(fft.ifft(fft.fft(x)), x)
assert abs(special.gamma(5) - 24) < 1e-10
assert abs(special.jv(0, 1.0) - 0.7651976865579666) < 1e-12
assert np.allclose(spsolve(sparse.csc_matrix(a), [1, 2]), linalg.solve(a, [1, 2]))
assert spatial.cKDTree(np.eye(3)).query([0.9, 0, 0])[1] == 0
assert abs(stats.norm.cdf(1.96) - 0.975) < 1e-4
assert abs(interpolate.CubicSpline(range(5), np.arange(5.0) ** 3)(2.5) - 15.625) < 1e-9
assert len(signal.find_peaks(np.sin(np.arange(100) / 5))[0]) == 3
