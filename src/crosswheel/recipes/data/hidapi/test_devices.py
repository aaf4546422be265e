"""Devices are listed (there are none here), and one that is not there cannot be opened."""

import hid

assert isinstance(hid.enumerate(), list)
assert hid.version_str()
try:
    hid.device().open(0x1234, 0x5678)
except OSError:
    pass
else:
    raise AssertionError("a device that is not there was opened")
