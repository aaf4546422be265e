"""A turn by two rotations is the product of their quaternions, over whole arrays."""

import numpy as np
import quaternion

quarter = quaternion.from_rotation_vector([0, 0, np.pi / 2])
assert np.allclose(quaternion.rotate_vectors(quarter, [1, 0, 0]), [0, 1, 0])
assert np.allclose(quaternion.as_float_array(quarter * quarter), [0, 0, 0, 1])
many = np.array([quarter] * 4)
assert many.dtype == np.quaternion
assert np.allclose(quaternion.as_float_array(many.prod()), [-1, 0, 0, 0])
