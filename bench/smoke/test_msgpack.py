"""Values go through the compiled packer and unpacker unchanged."""

import datetime

import msgpack
from msgpack import _cmsgpack

assert msgpack.Packer is _cmsgpack.Packer
value = {"a": [1, -1, 2**63, 0.5, None, True], "b": b"\x00\xff", "c": "Prüfröhrchen", "d": [[]] * 3}
assert msgpack.unpackb(msgpack.packb(value)) == value
day = datetime.datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=datetime.timezone.utc)
assert msgpack.unpackb(msgpack.packb(day, datetime=True), timestamp=3) == day
try:
    msgpack.unpackb(b"\xc1")
except msgpack.FormatError:
    pass
else:
    raise AssertionError("a byte that means nothing was accepted")
