"""Days of calendars that no clock has are counted and told."""

import cftime

day = cftime.datetime(2001, 2, 30, calendar="360_day")
assert cftime.date2num(day, "days since 2001-01-01", calendar="360_day") == 59
back = cftime.num2date(59.5, "days since 2001-01-01", calendar="noleap")
assert (back.month, back.day, back.hour) == (3, 1, 12)
