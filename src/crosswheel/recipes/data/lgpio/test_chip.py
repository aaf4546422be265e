"""A chip that is not there cannot be opened; messages for the exception and the version come from C."""

import lgpio

assert lgpio.get_module_version()
assert "handle" in lgpio.error_text(lgpio.BAD_HANDLE)
try:
    lgpio.gpiochip_open(200)
except lgpio.error as error:
    assert "open gpiochip" in str(error)
else:
    raise AssertionError("a chip that is not there was opened")
