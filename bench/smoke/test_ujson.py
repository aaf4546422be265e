"""JSON goes out and comes back, in the order it was written; what is no JSON is refused."""

import ujson

data = {"wells": ["A1", "B2"], "volume": 12.5, "name": "Prüfröhrchen", "big": 2**53 + 1, "none": None}
assert ujson.loads(ujson.dumps(data)) == data
assert ujson.dumps({"b": 1, "a": 2}) == '{"b":1,"a":2}'
assert ujson.dumps({"b": 1, "a": 2}, sort_keys=True, indent=1).splitlines()[1] == ' "a": 2,'
try:
    ujson.loads('{"a": ')
except ujson.JSONDecodeError:
    pass
else:
    raise AssertionError("half a text was accepted")
