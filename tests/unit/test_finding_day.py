"""The newest day that works is found by halves, and each is tried once."""

from __future__ import annotations

import datetime

import pytest

from crosswheel.errors import LockError
from crosswheel.job.finding_day import newest_that_works

FIRST, LAST = datetime.date(2024, 1, 1), datetime.date(2025, 1, 1)


def at(day: int) -> datetime.date:
    return FIRST + datetime.timedelta(days=day)


@pytest.mark.parametrize("newest", [0, 1, 100, 364, 365])
def test_the_newest_day_that_works_is_found_within_as_many_steps_as_halving_takes(newest: int) -> None:
    tried: list[datetime.date] = []

    def attempt(day: datetime.date) -> str | None:
        tried.append(day)
        return None if day <= at(newest) else f"broken since {day}"

    found = newest_that_works(FIRST, at(365), attempt)
    assert found.day == at(newest)
    assert len(tried) == len(set(tried)) == found.tried <= 2 + 9
    expected = (None, None) if newest == 365 else (at(newest + 1), f"broken since {at(newest + 1)}")
    assert (found.newer, found.reason) == expected


def test_what_does_not_work_as_of_its_first_day_either_is_no_matter_of_days() -> None:
    with pytest.raises(LockError, match=f"neither as of {LAST} nor as of {FIRST}.*no compiler"):
        newest_that_works(FIRST, LAST, lambda day: "no compiler")
