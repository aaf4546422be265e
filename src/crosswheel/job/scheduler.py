"""Doing many things at once, each as soon as what it needs is there, on any Executor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from crosswheel.errors import CrosswheelError, Interrupted

Made = TypeVar("Made")
Proven = TypeVar("Proven")


@dataclass
class Outcome(Generic[Made, Proven]):
    """What came of every name: what was made, what was proven, and which errors stopped the others."""

    made: dict[str, Made] = field(default_factory=dict)
    proven: dict[str, Proven] = field(default_factory=dict)
    errors: dict[str, CrosswheelError] = field(default_factory=dict)


def run(
    names: Iterable[str],
    make: Callable[[str], Made],
    needs: Callable[[str, Mapping[str, Made]], set[str]],
    prove: Callable[[str, Mapping[str, Made]], Proven],
    blocked: Callable[[str, set[str]], CrosswheelError],
    executor: Executor,
) -> Outcome[Made, Proven]:
    """Make every name, in the given order, and prove each once all that it needs is made.

    What a thing needs is known only when it is made, and grows as what it needs is made in turn, so that
    ``needs`` is asked again whenever something that it named was made. An error stops only its own name,
    and what needs it.

    Args:
        needs: the names, not yet made, that a made thing needs, as far as is known.
        blocked: the error of a name that needs others which failed.

    Raises:
        Interrupted: the user asked to stop; everything else is in the outcome.
    """
    outcome: Outcome[Made, Proven] = Outcome()
    running: dict[Future[Made | Proven], tuple[str, bool]] = {}
    for name in names:
        running[executor.submit(make, name)] = (name, True)
    waiting: dict[str, set[str]] = {}  # what each needed when it was asked last: at first, to be made itself
    while running:
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        settled = set()
        for future in done:
            name, is_making = running.pop(future)
            _record(outcome, name, is_making, future)
            if is_making:
                settled.add(name)
                waiting.update({name: {name}} if name in outcome.made else {})
        for name in sorted(name for name, missing in waiting.items() if missing & settled):
            waiting[name] = needs(name, outcome.made)
            failed = waiting[name] & outcome.errors.keys()
            if failed:
                outcome.errors[name] = blocked(name, failed)
                del waiting[name]
            elif not waiting[name]:
                running[executor.submit(prove, name, dict(outcome.made))] = (name, False)
                del waiting[name]
    return outcome


def _record(
    outcome: Outcome[Made, Proven], name: str, is_making: bool, future: Future[Made | Proven]
) -> None:
    try:
        result = future.result()
    except Interrupted:
        raise
    except CrosswheelError as error:
        outcome.errors[name] = error
        return
    if is_making:
        outcome.made[name] = result  # type: ignore[assignment]
    else:
        outcome.proven[name] = result  # type: ignore[assignment]
