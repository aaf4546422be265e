"""The bus is opened by its device, which is not here."""

import smbus

bus = smbus.SMBus()
try:
    bus.open(99)
except OSError as error:
    assert error.errno == 2, error
else:
    raise AssertionError("a bus that is not there was opened")
bus.close()
