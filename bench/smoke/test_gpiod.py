"""The library answers: its version, the values that settings take, and that there is no such chip."""

import gpiod
from gpiod.line import Direction, Value

assert gpiod.api_version.startswith("2.")
settings = gpiod.LineSettings(direction=Direction.OUTPUT, output_value=Value.ACTIVE)
assert settings.direction is Direction.OUTPUT
assert not gpiod.is_gpiochip_device("/dev/null")
try:
    gpiod.Chip("/dev/null")
except OSError as error:
    assert error.errno
else:
    raise AssertionError("/dev/null was taken for a chip")
