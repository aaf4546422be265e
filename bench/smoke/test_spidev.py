"""A bus that is not there cannot be opened, and the kernel's answer comes through."""

import spidev

bus = spidev.SpiDev()
try:
    bus.open(32, 0)
except FileNotFoundError:
    pass
else:
    raise AssertionError("a bus that is not there was opened")
try:
    bus.xfer([1, 2, 3])
except OSError as error:
    assert error.errno in (9, 38), error  # EBADF; the emulator does not know such buses at all
else:
    raise AssertionError("something was sent over no bus")
bus.close()
