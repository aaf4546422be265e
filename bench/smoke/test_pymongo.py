"""Documents go through the compiled BSON code unchanged."""

import datetime

import bson
import pymongo

assert bson.has_c()
assert pymongo.has_c()
day = datetime.datetime(2026, 1, 2, 3, 4, 5, 678000)
value = {
    "_id": bson.ObjectId(),
    "a": [1, 2**40, 0.5, None],
    "b": b"\x00",
    "c": {"d": "Prüfröhrchen"},
    "when": day,
}
assert bson.decode(bson.encode(value)) == value
number = bson.Decimal128("1.25")
assert bson.decode(bson.encode({"n": number}))["n"] == number
try:
    bson.decode(b"\x05\x00\x00\x00\x01")
except bson.InvalidBSON:
    pass
else:
    raise AssertionError("what is no document was accepted")
