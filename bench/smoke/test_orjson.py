"""JSON is written and read, with numbers at the edges, dates and text of every kind."""

import datetime
import uuid

import orjson

value = {"a": [1, -1, 2**63 - 1, 0.1, 1e300, None, True], "b": "Prüfröhrchen 🤖", "c": {"d": []}}
assert orjson.loads(orjson.dumps(value)) == value
day = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
assert orjson.dumps([day, uuid.UUID(int=1)]) == (
    b'["2026-01-02T03:04:05+00:00","00000000-0000-0000-0000-000000000001"]'
)
assert orjson.dumps({"b": 1, "a": 2}, option=orjson.OPT_SORT_KEYS) == b'{"a":2,"b":1}'
try:
    orjson.loads(b'{"a": 1,}')
except orjson.JSONDecodeError:
    pass
else:
    raise AssertionError("what is no JSON was accepted")
