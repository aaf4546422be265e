"""Text of base64 agrees with the standard library's, by the part that is C."""

import base64

import pybase64

data = bytes(range(256)) * 7 + b"x"
assert pybase64.b64encode(data) == base64.b64encode(data)
assert pybase64.b64decode(base64.urlsafe_b64encode(data), altchars=b"-_", validate=True) == data
assert "C extension" in pybase64.get_version()
try:
    pybase64.b64decode(b"not base64!", validate=True)
except ValueError:
    pass
else:
    raise AssertionError("what is no base64 was read")
