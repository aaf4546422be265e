"""JSON is read; what is broken off is refused, or read as far as it goes."""

import jiter

assert jiter.from_json(b'{"wells": ["A1", 2, 1e3, null, true]}') == {"wells": ["A1", 2, 1000.0, None, True]}
assert jiter.from_json(b'{"wells": ["A1", ', partial_mode=True) == {"wells": ["A1"]}
assert jiter.from_json(b"123456789012345678901234567890") == 123456789012345678901234567890
try:
    jiter.from_json(b'{"wells": [')
except ValueError:
    pass
else:
    raise AssertionError("what is broken off was read")
