"""Numbers are written to a file of tensors and read back; a damaged file is refused."""

import ctypes

from safetensors import SafetensorError, TensorSpec, deserialize, serialize

values = (ctypes.c_float * 6)(*range(6))
tensor = TensorSpec(
    dtype="float32", shape=[2, 3], data_ptr=ctypes.addressof(values), data_len=ctypes.sizeof(values)
)
file = serialize({"weights": tensor}, {"made": "here"})
((name, told),) = deserialize(file)
assert name == "weights"
assert told["shape"] == [2, 3]
assert bytes(told["data"]) == bytes(values)
try:
    deserialize(bytes(file[:20]))
except SafetensorError:
    pass
else:
    raise AssertionError("a damaged file was read")
