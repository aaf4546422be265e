"""Runs the steps of a closure, many at once; a failure stops only what needs it."""

from __future__ import annotations

import contextlib
import datetime
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

from crosswheel.build.requirements import RequirementsStore
from crosswheel.errors import BuildFailed, CheckFailed, CrosswheelError, HostError, Interrupted
from crosswheel.index.failures import Failure
from crosswheel.job.closures import Closure
from crosswheel.job.context import BuildContext
from crosswheel.job.making import make, refuse
from crosswheel.job.proving import prove, tested_with
from crosswheel.job.record import WheelRecord
from crosswheel.job.requirement_graph import Requirements
from crosswheel.plan import Step
from crosswheel.process import Cancellation
from crosswheel.progress import Display, Row
from crosswheel.progress import Outcome as Kind
from crosswheel.wheels.proof import Proof

Making = Callable[[Step, RequirementsStore, BuildContext], WheelRecord]
"""Returns the audited wheel of a step, as :func:`make` does."""


def run_closure(
    work: Closure,
    context: BuildContext,
    *,
    making: Making = make,
    executor: Executor | None = None,
    until_failure: bool = False,
) -> list[Row]:
    """Make and prove every release of a closure; return a row for each, in order of names.

    Args:
        executor: works on it, and perhaps on other closures; workers of its own, if not given.
        until_failure: begin nothing more once a release has failed; releases that were not begun have no row.

    Raises:
        Interrupted: the user asked to stop.
        HostError: nothing can be built on this machine.
    """
    context.display.expect([(step.pin.name, step.pin.version) for step in work.steps.values()])
    requirements = Requirements(work.versions, context.target, work.roots)
    todo = Schedule(
        lambda name: _make_and_report(
            context.display,
            context.cancellation,
            name,
            partial(making, work.steps[name], work.requirements, context),
        ),
        lambda name, records: (
            requirements.follow(tested_with(work.steps[name]), records)[1] if _is_kept(work, name) else set()
        ),
        lambda name, records: (
            _prove_and_report(work, name, records, requirements, context)
            if _is_kept(work, name)
            else _made_for_others(records[name], context.display)
        ),
        partial(_blocked, work),
    )
    names = [step.pin.name for step in sorted(work.steps.values(), key=_longest_first)]
    with contextlib.nullcontext(executor) if executor else context.workers(context.most_threads) as workers:
        outcome = run_schedule(names, todo, workers, lambda: context.at_once, until_failure=until_failure)
    for name, error in outcome.errors.items():
        if isinstance(error, Blocked) and _is_kept(work, name):
            context.display.done(name, "blocked", str(error))
    ended = outcome.proven.keys() | outcome.errors.keys()
    shown = [name for name in sorted(ended) if _is_kept(work, name) or name in outcome.errors]
    rows = [_row(work.steps[name], outcome) for name in shown]
    for row in rows:
        if row.error:
            _failure(row, context).write(context.dist_folder(row.package, row.version))
    return rows


_PURE = (
    'or take its pure wheel, which is slower: --prefer published, or prefer="published" in a recipe for it.'
)


class Blocked(BuildFailed):
    """A wheel was not proven because a wheel that it requires failed."""


def _longest_first(step: Step) -> tuple[int, int, str]:
    """Order steps so that the longest builds begin first and none is left alone at the end."""
    helped = step.recipe is not None and bool(step.recipe.cargo_features or step.recipe.libraries)
    size = step.file.size or 0 if step.file else 0
    return (0 if step.action == "build" else 1, -(size * (10 if helped else 1)), step.pin.name)


def _make_and_report(
    display: Display, cancellation: Cancellation, name: str, work: Callable[[], WheelRecord]
) -> WheelRecord:
    with _reported_failure(display, cancellation, name):
        record = work()
    display.wait(name)
    return record


@contextlib.contextmanager
def _reported_failure(display: Display, cancellation: Cancellation, name: str) -> Iterator[None]:
    """Show an error of the block as the failure of a package; one that concerns all packages is not shown."""
    try:
        yield
    except HostError:
        raise
    except CrosswheelError as error:
        cancellation.raise_if_requested()  # a build that was cancelled has not failed
        display.done(name, "failed", str(error))
        raise


def _prove_and_report(
    work: Closure,
    name: str,
    records: Mapping[str, WheelRecord],
    requirements: Requirements,
    context: BuildContext,
) -> Proof:
    record = records[name]
    with _reported_failure(context.display, context.cancellation, name):
        refuse(requirements.unsatisfied(name, records) if work.is_complete else [], record.wheel.name)
        try:
            proof = prove(work.steps[name], records, requirements, context)
        except CheckFailed:
            if record.instead_of is None:
                raise
            record = record.instead_of  # what was built for this target
            proof = prove(work.steps[name], {**records, name: record}, requirements, context)
    outcome = _outcome(record)
    context.display.done(name, outcome, record.reason, record.seconds if outcome == "built" else None)
    return proof


def _is_kept(work: Closure, name: str) -> bool:
    return work.kept is None or name in work.kept


def _made_for_others(record: WheelRecord, display: Display) -> None:
    display.done(record.name, _outcome(record), "it is only there to run what needs it")


def _outcome(record: WheelRecord) -> Kind:
    return "found" if record.is_kept else record.origin


def _blocked(work: Closure, name: str, failed: set[str]) -> CrosswheelError:
    return Blocked(
        f"it needs {', '.join(sorted(failed))}, which failed", hint="mend those first; see their messages."
    )


def _failure(row: Row, context: BuildContext) -> Failure:
    """Return what the index's status page says of a release that failed."""
    return Failure(
        name=row.package,
        version=row.version,
        target=context.target.name,
        step="build",
        message=context.public(row.error or ""),
        hint=context.public(row.hint or ""),
        failed=datetime.datetime.now(datetime.timezone.utc),
    )


def _row(step: Step, outcome: RunResult[WheelRecord, Proof | None]) -> Row:
    name, version = step.pin.name, step.pin.version
    error, record = outcome.errors.get(name), outcome.products.get(name)
    if error is not None:
        kind: Kind = "blocked" if isinstance(error, Blocked) else "failed"
        hint = f"{error.hint.rstrip('.')}; {_PURE}" if step.has_pure and kind == "failed" else error.hint
        return Row(
            name, version, kind, 0.0, None, step.reason, str(error), hint, error.exit_code, kind=error.kind
        )
    proof = outcome.proven[name]
    assert record is not None
    assert proof is not None
    return Row(
        name,
        version,
        _outcome(record),
        record.seconds,
        record.size,
        record.reason,
        origin=record.origin,
        imported=len(proof.imported),
        skipped=proof.skipped,
        not_run=proof.not_run,
    )


Product = TypeVar("Product")
Proven = TypeVar("Proven")


@dataclass
class RunResult(Generic[Product, Proven]):
    """The result of a run, by name: products, proofs, and the errors of what failed."""

    products: dict[str, Product] = field(default_factory=dict)
    proven: dict[str, Proven] = field(default_factory=dict)
    errors: dict[str, CrosswheelError] = field(default_factory=dict)


@dataclass(frozen=True)
class Schedule(Generic[Product, Proven]):
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


def run_schedule(
    names: Iterable[str],
    schedule: Schedule[Product, Proven],
    executor: Executor,
    at_once: Callable[[], int],
    *,
    until_failure: bool = False,
) -> RunResult[Product, Proven]:
    """Make every name, and prove each once all that it needs is made.

    Proving comes before making. Names that made ones wait for are made next, then the others in the given order. What
    a name needs is known only when it is made, and grows as its needs are made in turn; ``needs`` is therefore called
    again whenever a name that it returned was made. An error stops only its own name, and the names that need it.

    Args:
        at_once: returns the number of names that may be worked on at the same time, which may change.
        until_failure: begin nothing more once a name has failed.

    Raises:
        Interrupted: the user asked to stop.
        HostError: this host can make none of them. Every other error is in the result.
    """
    outcome: RunResult[Product, Proven] = RunResult()
    to_make, to_prove = list(names), deque[str]()
    running: dict[Future[Product | Proven], tuple[str, bool]] = {}
    waiting: dict[str, set[str]] = {}  # the names that each still waits for; at first, for itself to be made
    while to_make or to_prove or running:
        while (to_make or to_prove) and len(running) < at_once():
            if to_prove:
                name = to_prove.popleft()
                running[executor.submit(schedule.prove, name, dict(outcome.products))] = (name, False)
            else:
                name = _next(to_make, waiting)
                running[executor.submit(schedule.make, name)] = (name, True)
        finished, _ = wait(running, return_when=FIRST_COMPLETED)
        settled = set()
        for future in finished:
            name, is_making = running.pop(future)
            _record(outcome, name, is_making, future)
            if is_making:
                settled.add(name)
                waiting.update({name: {name}} if name in outcome.products else {})
        for name in sorted(name for name, missing in waiting.items() if missing & settled):
            waiting[name] = schedule.needs(name, outcome.products)
            failed = waiting[name] & outcome.errors.keys()
            if failed:
                outcome.errors[name] = schedule.blocked(name, failed)
                del waiting[name]
            elif not waiting[name]:
                to_prove.append(name)
                del waiting[name]
        if until_failure and outcome.errors:
            to_make.clear()
            to_prove.clear()
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
