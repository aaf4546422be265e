"""The newest day that works is found by halves, and each is tried once."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from crosswheel.errors import LimitExceeded, LockError
from crosswheel.job.finding_day import FoundDay, most_steps, narrowed, newest_that_works
from crosswheel.job.host_trial import HostTrial
from crosswheel.lock import Pin
from support.contexts import offline_job

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


def test_a_first_day_that_fails_for_a_reason_of_its_own_is_passed_over() -> None:
    """A dependency may have been mended soon after the release."""
    tried: list[datetime.date] = []

    def attempt(day: datetime.date) -> str | None:
        tried.append(day)
        return "not mended yet" if day < at(8) else None if day <= at(200) else "too new"

    found = newest_that_works(FIRST, at(365), attempt)
    assert (found.day, found.newer, found.reason) == (at(200), at(201), "too new")
    assert len(tried) == len(set(tried)) <= 2 + 2 * 9


@dataclass
class Tried:
    """Days that work up to one of them; what was tried is written down."""

    newest: int
    oldest: int = 0
    days: list[datetime.date] = field(default_factory=list)

    def __call__(self, day: datetime.date) -> str | None:
        self.days.append(day)
        return None if at(self.oldest) <= day <= at(self.newest) else f"fails as of {day}"


@pytest.mark.parametrize("newest", [0, 1, 100, 364])
def test_only_the_two_days_at_the_end_of_cheap_trials_are_proven(newest: int) -> None:
    trial, proof = Tried(newest), Tried(newest)
    found = narrowed(FIRST, at(365), trial, proof)
    assert found == FoundDay(at(newest), at(newest + 1), f"fails as of {at(newest + 1)}", found.tried)
    assert proof.days == [at(newest), at(newest + 1)]
    assert len(trial.days) == len(set(trial.days)) <= most_steps(FIRST, at(365)) == 11
    assert found.tried == len(trial.days) + len(proof.days)


@pytest.mark.parametrize(
    ("trial", "proof"),
    [
        (Tried(200), Tried(100)),  # it fails for the target already when it still works here
        (Tried(100), Tried(200)),  # it fails here alone
        (Tried(200), Tried(300, oldest=8)),
        (Tried(365), Tried(100)),
        (Tried(-1), Tried(100)),  # nothing works here
    ],
)
def test_proofs_decide_where_trials_disagree(trial: Tried, proof: Tried) -> None:
    found = narrowed(FIRST, at(365), trial, proof)
    assert (found.day, found.newer) == (at(proof.newest), at(proof.newest + 1))
    assert found.reason == f"fails as of {at(proof.newest + 1)}"
    assert len(proof.days) == len(set(proof.days))


def test_a_last_day_that_works_needs_one_trial_and_one_proof() -> None:
    trial, proof = Tried(365), Tried(365)
    assert narrowed(FIRST, at(365), trial, proof) == FoundDay(at(365), tried=2)
    assert (trial.days, proof.days) == ([at(365)], [at(365)])


def test_a_trial_that_does_not_end_in_time_tells_nothing_and_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([LimitExceeded("python was ended after 900 s", hint="wait"), "it does not start"])

    def fault_with(trial: HostTrial, wheels: object) -> str:
        answer = next(answers)
        if isinstance(answer, LimitExceeded):
            raise answer
        return answer

    monkeypatch.setattr(HostTrial, "_fault_with", fault_with)
    with offline_job(tmp_path) as job:
        trial = HostTrial(Pin("tool", "1.0", ()), (), job.context)
        assert trial.fault([]) is None
        assert (
            "cannot be tried on this machine first: python was ended after 900 s." in job.printed.getvalue()
        )
        assert [trial.fault([]), trial.fault([])] == ["it does not start"] * 2
