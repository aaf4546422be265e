"""Makes and proves many names at once on any Executor, each as soon as its needs are met."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from crosswheel.errors import CrosswheelError, HostError, Interrupted

Product = TypeVar("Product")
Proven = TypeVar("Proven")


@dataclass
class RunResult(Generic[Product, Proven]):
    """The result of a run, by name: products, proofs, and the errors of what failed."""

    products: dict[str, Product] = field(default_factory=dict)
    proven: dict[str, Proven] = field(default_factory=dict)
    errors: dict[str, CrosswheelError] = field(default_factory=dict)


@dataclass(frozen=True)
class Work(Generic[Product, Proven]):
    """The functions that a run calls for each name.

    Attributes:
        make: returns the product of a name.
        needs: returns the names without a product yet that a product needs, as far as is known.
        prove: returns the proof of a name, given all products.
        blocked: returns the error of a name whose needs failed.
    """

    make: Callable[[str], Product]
    needs: Callable[[str, Mapping[str, Product]], set[str]]
    prove: Callable[[str, Mapping[str, Product]], Proven]
    blocked: Callable[[str, set[str]], CrosswheelError]


def run(
    names: Iterable[str], work: Work[Product, Proven], executor: Executor, at_once: int
) -> RunResult[Product, Proven]:
    """Make every name, and prove each once all that it needs is made.

    Proving comes before making. Names that made ones wait for are made next, then the others in the given order. What
    a name needs is known only when it is made, and grows as its needs are made in turn; ``needs`` is therefore called
    again whenever a name that it returned was made. An error stops only its own name, and the names that need it.

    Args:
        at_once: the number of names that are worked on at the same time.

    Raises:
        Interrupted: the user asked to stop.
        HostError: this host can make none of them. Every other error is in the result.
    """
    outcome: RunResult[Product, Proven] = RunResult()
    to_make, to_prove = list(names), deque[str]()
    running: dict[Future[Product | Proven], tuple[str, bool]] = {}
    waiting: dict[str, set[str]] = {}  # the names that each still waits for; at first, for itself to be made
    while to_make or to_prove or running:
        while (to_make or to_prove) and len(running) < at_once:
            if to_prove:
                name = to_prove.popleft()
                running[executor.submit(work.prove, name, dict(outcome.products))] = (name, False)
            else:
                name = _next(to_make, waiting)
                running[executor.submit(work.make, name)] = (name, True)
        finished, _ = wait(running, return_when=FIRST_COMPLETED)
        settled = set()
        for future in finished:
            name, is_making = running.pop(future)
            _record(outcome, name, is_making, future)
            if is_making:
                settled.add(name)
                waiting.update({name: {name}} if name in outcome.products else {})
        for name in sorted(name for name, missing in waiting.items() if missing & settled):
            waiting[name] = work.needs(name, outcome.products)
            failed = waiting[name] & outcome.errors.keys()
            if failed:
                outcome.errors[name] = work.blocked(name, failed)
                del waiting[name]
            elif not waiting[name]:
                to_prove.append(name)
                del waiting[name]
    return outcome


def _next(to_make: list[str], waiting: Mapping[str, set[str]]) -> str:
    """Remove and return the name to make next: the first that another waits for, or else the first."""
    awaited = set[str]().union(*waiting.values())
    return to_make.pop(next((number for number, name in enumerate(to_make) if name in awaited), 0))


def _record(
    outcome: RunResult[Product, Proven], name: str, is_making: bool, future: Future[Product | Proven]
) -> None:
    try:
        result = future.result()
    except (Interrupted, HostError):
        raise
    except CrosswheelError as error:
        outcome.errors[name] = error
        return
    if is_making:
        outcome.products[name] = result  # type: ignore[assignment]
    else:
        outcome.proven[name] = result  # type: ignore[assignment]
