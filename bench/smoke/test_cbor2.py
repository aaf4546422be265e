"""Values go through CBOR unchanged; an example of its standard is written as there."""

import datetime
from decimal import Decimal

import cbor2

value = {"a": [1, -1, 2**64, 0.5, None, True], "b": b"\x00\xff", "c": "Prüfröhrchen", "d": Decimal("1.25")}
assert cbor2.loads(cbor2.dumps(value)) == value
day = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
assert cbor2.loads(cbor2.dumps(day)) == day
assert cbor2.dumps({"a": 1, "b": [2, 3]}).hex() == "a26161016162820203"  # RFC 8949, appendix A
assert cbor2.loads(bytes.fromhex("fb3ff199999999999a")) == 1.1
try:
    cbor2.loads(b"\x82\x01")
except cbor2.CBORDecodeEOF:
    pass
else:
    raise AssertionError("half an array was accepted")
