"""Doing many things at once, each as soon as what it needs is there, on any Executor."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from crosswheel.errors import CrosswheelError, HostError, Interrupted

Made = TypeVar("Made")
Proven = TypeVar("Proven")


@dataclass
class Outcome(Generic[Made, Proven]):
    """What came of every name: what was made, what was proven, and which errors stopped the others."""

    made: dict[str, Made] = field(default_factory=dict)
    proven: dict[str, Proven] = field(default_factory=dict)
    errors: dict[str, CrosswheelError] = field(default_factory=dict)


@dataclass(frozen=True)
class Work(Generic[Made, Proven]):
    """What is done with every name.

    Attributes:
        make: makes a thing.
        needs: tells the names, not yet made, that a made thing needs, as far as is known.
        prove: proves a thing, given all that is made.
        blocked: returns the error of a name that needs others which failed.
    """

    make: Callable[[str], Made]
    needs: Callable[[str, Mapping[str, Made]], set[str]]
    prove: Callable[[str, Mapping[str, Made]], Proven]
    blocked: Callable[[str, set[str]], CrosswheelError]


def run(
    names: Iterable[str], work: Work[Made, Proven], executor: Executor, at_once: int
) -> Outcome[Made, Proven]:
    """Make every name, and prove each once all that it needs is made.

    What is ready to be proven is proven before more is made; what made things wait for is made next, then the others,
    in the given order. What a thing needs is known only when it is made, and grows as what it needs is made in turn,
    so that ``needs`` is asked again whenever something that it named was made. An error stops only its own name, and
    what needs it.

    Args:
        at_once: how many things are worked on at the same time.

    Raises:
        Interrupted: the user asked to stop.
        HostError: none can be made on this machine. Every other error is in the outcome.
    """
    outcome: Outcome[Made, Proven] = Outcome()
    to_make, to_prove = list(names), deque[str]()
    running: dict[Future[Made | Proven], tuple[str, bool]] = {}
    waiting: dict[str, set[str]] = {}  # what each needed when it was asked last: at first, to be made itself
    while to_make or to_prove or running:
        while (to_make or to_prove) and len(running) < at_once:
            if to_prove:
                name = to_prove.popleft()
                running[executor.submit(work.prove, name, dict(outcome.made))] = (name, False)
            else:
                name = _next(to_make, waiting)
                running[executor.submit(work.make, name)] = (name, True)
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        settled = set()
        for future in done:
            name, is_making = running.pop(future)
            _record(outcome, name, is_making, future)
            if is_making:
                settled.add(name)
                waiting.update({name: {name}} if name in outcome.made else {})
        for name in sorted(name for name, missing in waiting.items() if missing & settled):
            waiting[name] = work.needs(name, outcome.made)
            failed = waiting[name] & outcome.errors.keys()
            if failed:
                outcome.errors[name] = work.blocked(name, failed)
                del waiting[name]
            elif not waiting[name]:
                to_prove.append(name)
                del waiting[name]
    return outcome


def _next(to_make: list[str], waiting: Mapping[str, set[str]]) -> str:
    """Take out what is to be made next: the first that something waits for, or else the first."""
    awaited = set[str]().union(*waiting.values())
    return to_make.pop(next((number for number, name in enumerate(to_make) if name in awaited), 0))


def _record(
    outcome: Outcome[Made, Proven], name: str, is_making: bool, future: Future[Made | Proven]
) -> None:
    try:
        result = future.result()
    except (Interrupted, HostError):
        raise
    except CrosswheelError as error:
        outcome.errors[name] = error
        return
    if is_making:
        outcome.made[name] = result  # type: ignore[assignment]
    else:
        outcome.proven[name] = result  # type: ignore[assignment]
