"""Times are read with their zones; what is no time is refused."""

import datetime

import ciso8601

read = ciso8601.parse_datetime("2025-04-25T12:30:05.123456+02:00")
assert read.utcoffset() == datetime.timedelta(hours=2)
assert (read.microsecond, read.hour) == (123456, 12)
assert ciso8601.parse_datetime("20250425") == datetime.datetime(2025, 4, 25)
try:
    ciso8601.parse_datetime("2025-13-01")
except ValueError:
    pass
else:
    raise AssertionError("there is no thirteenth month")
