"""JSON goes out and comes back; what a schema forbids is refused."""

import datetime

import rapidjson

data = {"wells": ["A1", "B2"], "volume": 12.5, "name": "Prüfröhrchen", "big": 2**70}
assert rapidjson.loads(rapidjson.dumps(data)) == data
when = datetime.datetime(2025, 4, 25, 12, 30)
assert rapidjson.dumps(when, datetime_mode=rapidjson.DM_ISO8601) == '"2025-04-25T12:30:00"'
check = rapidjson.Validator('{"type": "object", "required": ["well"]}')
check('{"well": "A1"}')
try:
    check('{"volume": 1}')
except rapidjson.ValidationError:
    pass
else:
    raise AssertionError("what the schema forbids was accepted")
