"""Messages are laid out in memory as the kernel wants them; a bus that is not there cannot be opened."""

import ctypes

from smbus2 import SMBus, i2c_msg

message = i2c_msg.write(0x20, [1, 2, 3])
assert list(message) == [1, 2, 3]
assert ctypes.sizeof(message) == 8 + ctypes.sizeof(ctypes.c_void_p)
try:
    SMBus(250)
except FileNotFoundError:
    pass
else:
    raise AssertionError("a bus that is not there was opened")
