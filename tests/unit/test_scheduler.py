"""The scheduler, on real threads: everything as soon as its needs are there, and failures stay where they are."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from crosswheel.errors import BuildFailed, CheckFailed, CrosswheelError, HostError, Interrupted
from crosswheel.job.running import RunResult, Schedule, run_schedule

PATIENCE = 60  # seconds; only a test that fails waits so long


@dataclass
class Work:
    """Things to make: what each requires is known once it is made, as with wheels.

    ``making`` and ``proving`` may be given an error for a name; ``order`` tells what began when.
    """

    requires: Mapping[str, set[str]]
    making: Mapping[str, BaseException] = field(default_factory=dict)
    proving: Mapping[str, BaseException] = field(default_factory=dict)
    order: list[tuple[str, str]] = field(default_factory=list)

    def make(self, name: str) -> str:
        self.order.append(("make", name))
        if name in self.making:
            raise self.making[name]
        return f"{name} made"

    def needs(self, name: str, made: Mapping[str, str]) -> set[str]:
        """Follow what made things require; what is not made says nothing."""
        missing, todo, seen = set(), [name], set()
        while todo:
            current = todo.pop()
            if current in made and current not in seen:
                seen.add(current)
                todo += self.requires[current]
            elif current not in made:
                missing.add(current)
        return missing

    def prove(self, name: str, made: Mapping[str, str]) -> str:
        self.order.append(("prove", name))
        assert not self.needs(name, made)
        if name in self.proving:
            raise self.proving[name]
        return f"{name} proven with {', '.join(sorted(made))}"

    def blocked(self, name: str, failed: set[str]) -> CrosswheelError:
        return BuildFailed(f"needs {', '.join(sorted(failed))}", hint="mend those")

    def run(self, workers: int = 2, *, until_failure: bool = False) -> RunResult[str, str]:
        with ThreadPoolExecutor(workers) as pool:
            todo = Schedule(self.make, self.needs, self.prove, self.blocked)
            return run_schedule(self.requires, todo, pool, lambda: workers, until_failure=until_failure)


def test_nothing_more_begins_after_a_failure_where_that_is_asked_for() -> None:
    work = Work({"a": set(), "b": set(), "c": set()}, making={"b": BuildFailed("broken", hint="mend it")})
    outcome = work.run(workers=1, until_failure=True)
    assert ("make", "c") not in work.order
    assert (outcome.proven.keys(), outcome.errors.keys()) == ({"a"}, {"b"})


def test_everything_is_made_and_proven() -> None:
    outcome = Work({"a": {"b"}, "b": {"c"}, "c": set(), "alone": set()}).run()
    assert outcome.products == {name: f"{name} made" for name in ("a", "b", "c", "alone")}
    assert outcome.proven.keys() == outcome.products.keys()
    assert outcome.errors == {}


def test_nothing_to_do_is_done() -> None:
    assert Work({}).run() == RunResult()


@pytest.mark.parametrize("workers", [1, 4])
def test_each_is_proven_only_after_all_that_it_leads_to_is_made(workers: int) -> None:
    work = Work({"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set()})  # also around a circle
    outcome = work.run(workers)
    assert set(outcome.proven) == {"a", "b", "c", "d"}
    began = {step: number for number, step in enumerate(work.order)}
    for name in "abc":
        assert began[("prove", name)] > max(began[("make", other)] for other in "abcd")


def test_what_is_ready_does_not_wait_for_what_is_slow() -> None:
    proven = threading.Event()

    class Slow(Work):
        def make(self, name: str) -> str:
            if name == "slow":
                assert proven.wait(PATIENCE)
            return super().make(name)

        def prove(self, name: str, made: Mapping[str, str]) -> str:
            result = super().prove(name, made)
            proven.set()
            return result

    outcome = Slow({"slow": set(), "quick": set()}).run()
    assert set(outcome.proven) == {"slow", "quick"}


def test_as_many_are_made_at_once_as_there_are_workers() -> None:
    together = threading.Barrier(3, timeout=PATIENCE)

    class Together(Work):
        def make(self, name: str) -> str:
            together.wait()
            return super().make(name)

    assert len(Together({"a": set(), "b": set(), "c": set()}).run(3).proven) == 3


def test_things_are_made_in_the_given_order() -> None:
    work = Work({"c": set(), "a": set(), "b": set()})
    work.run(1)
    assert [name for step, name in work.order if step == "make"] == ["c", "a", "b"]


def test_what_is_ready_is_proven_before_more_is_made() -> None:
    work = Work({"c": set(), "a": {"c"}, "b": set()})
    work.run(1)
    assert work.order == [(step, name) for name in "cab" for step in ("make", "prove")]


def test_what_a_made_thing_waits_for_is_made_next() -> None:
    work = Work({"first": {"needed"}, "other": set(), "needed": set()})
    work.run(1)
    assert [name for step, name in work.order if step == "make"] == ["first", "needed", "other"]
    assert work.order.index(("prove", "first")) < work.order.index(("make", "other"))


def test_no_more_is_begun_than_can_be_done_at_once() -> None:
    """What waits its turn has not begun, should the user stop it."""
    work = Work({name: set() for name in "abcd"}, making={"a": Interrupted("stopped", hint="")})
    with pytest.raises(Interrupted):
        work.run(1)
    assert work.order == [("make", "a")]


def test_a_failure_stops_only_itself_and_what_needs_it() -> None:
    failure = BuildFailed("no compiler", hint="get one")
    work = Work({"top": {"middle"}, "middle": {"bad"}, "bad": set(), "other": set()}, making={"bad": failure})
    outcome = work.run()
    assert outcome.errors["bad"] is failure
    assert outcome.errors["middle"].message == outcome.errors["top"].message == "needs bad"
    assert set(outcome.proven) == {"other"}
    assert set(outcome.products) == {"top", "middle", "other"}


def test_several_failures_are_all_told() -> None:
    failures = {name: BuildFailed(name, hint="") for name in ("one", "two")}
    outcome = Work({"top": {"one", "two"}, "one": set(), "two": set()}, making=failures).run()
    assert outcome.errors["one"] is failures["one"]
    assert outcome.errors["two"] is failures["two"]
    assert "top" in outcome.errors


def test_a_proof_that_fails_is_an_error_of_its_own() -> None:
    refusal = CheckFailed("it crashes", hint="")
    outcome = Work({"top": {"bad"}, "bad": set()}, proving={"bad": refusal}).run()
    assert outcome.errors == {"bad": refusal}
    assert set(outcome.products) == {"top", "bad"}
    assert set(outcome.proven) == {"top"}


@pytest.mark.parametrize("kind", [Interrupted, HostError])
def test_a_wish_to_stop_stops_and_so_does_what_holds_for_all(kind: type[CrosswheelError]) -> None:
    work = Work({"a": set()}, making={"a": kind("stopped", hint="")})
    with pytest.raises(kind):
        work.run()


def test_a_mistake_of_ours_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        Work({"a": set()}, making={"a": ZeroDivisionError()}).run()
