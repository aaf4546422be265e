"""Finds the newest day as of which a release works with its dependencies.

A day is dear to prove: all that has no wheel for the target is built. So the release is first started on this machine,
with the releases of each day, which takes seconds; only the days at the end of that search are proven.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from packaging.utils import canonicalize_name

from crosswheel import lock as locks
from crosswheel.emulation.trials import Trial
from crosswheel.errors import BuildFailed, CheckFailed, CrosswheelError, LimitExceeded, LockError, PlanError
from crosswheel.files import remove_tree
from crosswheel.job.closures import closure_of_pins, resolve, resolver_as_of
from crosswheel.job.context import BuildContext
from crosswheel.job.host_trial import HostTrial, start_fault
from crosswheel.job.proving import installed_site
from crosswheel.job.running import run_closure
from crosswheel.lock import Pin
from crosswheel.progress.wording import duration
from crosswheel.resolver import Request
from crosswheel.wheels.dist import Dist

_DAY = datetime.timedelta(days=1)
# What a day may be blamed for. Anything else, such as a download that failed, says nothing about it.
_FAULTS = (BuildFailed, CheckFailed, LockError, PlanError)
_KINDS = {fault.kind for fault in (*_FAULTS, LimitExceeded)}
Attempt = Callable[[datetime.date], str | None]
"""Tries a day; returns why it fails, or ``None`` if it works."""


@dataclass(frozen=True)
class FoundDay:
    """The newest day that works.

    Attributes:
        newer: the first day that fails, and ``reason`` why; ``None`` if no newer day was tried.
        tried: the number of days that were tried.
    """

    day: datetime.date
    newer: datetime.date | None = None
    reason: str | None = None
    tried: int = 1


@dataclass(frozen=True)
class _Found:
    """The result of a search: a day that works, and the day after it, which fails; or nothing that works."""

    works: datetime.date | None
    fails: datetime.date | None
    reason: str | None
    early: str | None = None


def newest_that_works(first: datetime.date, last: datetime.date, attempt: Attempt) -> FoundDay:
    """Return the newest day that works, assuming that from some day on none does.

    The last day is tried first, then the first, then days between them by bisection. Where the first day fails for
    another reason than the last, the days soon after it are tried as well: a dependency may have been mended then.

    Raises:
        LockError: no day that was tried works.
    """
    tried = _Counted(attempt)
    found = _search(first, last, tried)
    if found.works is None:
        raise LockError(
            f"neither as of {last} nor as of {first}, when it came out, does it work: {found.early}",
            hint="the day is not the cause: mend what fails with a recipe, and add it again.",
        )
    return FoundDay(found.works, found.fails, found.reason, tried.count)


def narrowed(first: datetime.date, last: datetime.date, trial: Attempt, proof: Attempt) -> FoundDay:
    """Return the newest day that works, as :func:`newest_that_works` does for proofs, with the help of cheap trials.

    Trials find two days in a row of which only the earlier one works; these two are proven. Where proofs disagree with
    trials, they decide, for the days that are left.

    Raises:
        LockError: no day that was proven works.
    """
    trials, proofs = _Counted(trial), _Counted(proof)
    found = _search(first, last, trials)
    if found.works is None or found.fails is None:  # every day fails here, or the last one does not
        proven = newest_that_works(first, last, proofs)
    elif proofs(found.works) is not None:
        proven = newest_that_works(first, found.works, proofs)
    elif (reason := proofs(found.fails)) is None:
        proven = newest_that_works(found.fails, last, proofs)
    else:
        proven = FoundDay(found.works, found.fails, reason)
    return replace(proven, tried=trials.count + proofs.count)


@dataclass
class _Counted:
    """An attempt that tries each day once, and counts the days."""

    attempt: Attempt
    faults: dict[datetime.date, str | None] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """The number of days that were tried."""
        return len(self.faults)

    def __call__(self, day: datetime.date) -> str | None:
        if day not in self.faults:
            self.faults[day] = self.attempt(day)
        return self.faults[day]


def _search(first: datetime.date, last: datetime.date, attempt: Attempt) -> _Found:
    reason = attempt(last)
    if reason is None:
        return _Found(last, None, None)
    early = reason
    for day in _soon_after(first, last):
        fault = attempt(day)
        if fault is None:
            return _bisected(day, last, reason, attempt)
        early = fault if day == first else early
        if fault == reason:
            break
    return _Found(None, None, reason, early)


def _soon_after(first: datetime.date, last: datetime.date) -> Iterator[datetime.date]:
    """Yield the first day, then days at growing distances from it."""
    days, offset = (last - first).days, 0
    while offset < days:
        yield first + offset * _DAY
        offset = max(1, 2 * offset)


def _bisected(works: datetime.date, fails: datetime.date, reason: str, attempt: Attempt) -> _Found:
    while fails - works > _DAY:
        middle = works + (fails - works) // 2
        fault = attempt(middle)
        if fault is None:
            works = middle
        else:
            fails, reason = middle, fault
    return _Found(works, fails, reason)


def most_steps(first: datetime.date, last: datetime.date) -> int:
    """Return how many days are tried at most where the first day works: the last, the first, and by bisection."""
    return 2 + max(0, (last - first).days - 1).bit_length()


def find_day(requirement: str, context: BuildContext) -> FoundDay:
    """Find the newest day as of which a release can be built, proven and started with all that it needs.

    Raises:
        UsageError: ``requirement`` is not a requirement.
        LockError: no day works, or the registry does not date the release's files.
        PlanError: the registry has no such release.
    """
    stated = locks.parsed(requirement)
    today = datetime.datetime.now(datetime.timezone.utc).date()
    pins = {
        pin.name: pin for pin in resolver_as_of(None, context).resolve(Request((requirement,)), None).pins
    }
    root = pins.get(canonicalize_name(stated.name))
    if root is None:
        raise LockError(f"{requirement} does not apply to {context.target.name}", hint="look at its marker.")
    files = context.registry.release_files(root.name, root.version)
    times = [file.upload_time for file in files if file.upload_time]
    if not times:
        raise LockError(
            f"the registry does not tell when {root} came to it, so no day can be found",
            hint="name a registry that tells it (PEP 700), or give the day with --as-of.",
        )
    extras = f"[{','.join(sorted(stated.extras))}]" if stated.extras else ""
    known, first = context.recipes.root_of(root.name, root.version), min(times).date()
    exact = known.roots if known else (f"{root.name}{extras}=={root.version}",)
    context.display.message(
        f"{root} came out on {first}: at most {most_steps(first, today)} days are tried on this machine, and then "
        "the newest that works and the day after it are proven for the target."
    )
    with _apart(context) as apart:
        days = _Days(exact, root, apart)
        found = narrowed(first, today, days.tried_on_host, days.proven)
    if found.newer is None:
        return found
    return replace(found, reason=f"{found.reason}{days.changed(found.day, found.newer)}")


@contextmanager
def _apart(context: BuildContext) -> Iterator[BuildContext]:
    """Yield a context with a ``dist/`` of its own: an index would offer what fails, because it is newer."""
    folder = context.trees.build / "days"
    try:
        yield replace(context, trees=replace(context.trees, dist=folder))
    finally:
        remove_tree(folder)


@dataclass
class _Days:
    """Tries and proves days; days that resolve to the same releases are tried once."""

    requirements: Sequence[str]
    root: Pin
    context: BuildContext
    _pins: dict[datetime.date, Sequence[Pin]] = field(default_factory=dict)
    _faults: dict[tuple[str, frozenset[str]], str | None] = field(default_factory=dict)

    def tried_on_host(self, day: datetime.date) -> str | None:
        """Return why the release does not start on this machine as of a day; ``None`` if it does, or nobody knows."""
        recipe = self.context.recipes.for_package(self.root.name, self.root.version)
        trial = HostTrial(self.root, recipe.test_files if recipe else (), self.context)

        def fault() -> str | None:
            resolved = resolver_as_of(day, self.context).resolve(Request(tuple(self.requirements)), day)
            pins = self._pins[day] = list(resolved.pins)
            reason = self._once("host", pins, lambda: trial.fault(pins))
            return _in_short(reason) if reason else None

        return self._reported(day, "tried on this machine", fault)

    def proven(self, day: datetime.date) -> str | None:
        """Return why the release cannot be built, proven or started for the target as of a day; ``None`` if it can."""

        def fault() -> str | None:
            pins = list(resolve(Request(tuple(self.requirements)), day, self.context).pins)
            self._pins[day] = pins
            return self._once("target", pins, lambda: self._unproven(pins, day))

        return self._reported(day, f"proven for {self.context.target.title}", fault)

    def changed(self, works: datetime.date, fails: datetime.date) -> str:
        """Return which releases came between two days, in words; empty if that is not known."""
        before = {pin.name: pin.version for pin in self._pins.get(works, ())}
        after = {pin.name: pin.version for pin in self._pins.get(fails, ())}
        if not before or not after:
            return ""
        newer = [f"{name} {version}" for name, version in after.items() if before.get(name) != version]
        return f"; new then: {', '.join(newer)}" if newer else ""

    def _once(self, where: str, pins: Iterable[Pin], find: Callable[[], str | None]) -> str | None:
        key = (where, frozenset(map(str, pins)))
        if key not in self._faults:
            self._faults[key] = find()
        return self._faults[key]

    def _reported(self, day: datetime.date, how: str, find: Callable[[], str | None]) -> str | None:
        """Find the fault of a day, and show it as soon as it is known."""
        name, began, tell = ", ".join(self.requirements), time.monotonic(), self.context.display.message
        tell(f"{name} as of {day} is {how}.")
        try:
            fault = find()
        except _FAULTS as error:
            self.context.cancellation.raise_if_requested()
            fault = _in_short(str(error))
        result = "it works" if fault is None else f"it fails: {fault}"
        tell(f"As of {day}, {how}, {result} ({duration(time.monotonic() - began)}).")
        return fault

    def _unproven(self, pins: Iterable[Pin], day: datetime.date) -> str | None:
        title = ", ".join(self.requirements)
        store = self.context.own_store(title, day)
        closure = closure_of_pins(self.requirements, pins, store, self.context)
        rows = run_closure(closure, self.context, until_failure=True)
        failed = [row for row in rows if row.outcome == "failed"]
        for row in failed:
            if row.kind not in _KINDS:  # of the network, or of this machine
                raise CrosswheelError(
                    f"{row.package} {row.version}: {row.error}",
                    hint=row.hint or "run the same command again.",
                )
        if failed:
            return f"{failed[0].package} {failed[0].version}: {_in_short(failed[0].error or '')}"
        return self._fault_of_programs(closure.versions)

    def _fault_of_programs(self, versions: Mapping[str, str]) -> str | None:
        """Return why a program of the release does not start under emulation, or ``None``."""
        if not self.context.toolchain.python.runs:
            return None
        dist, target = Dist(self.context.trees.dist), self.context.target.name
        wheels = [dist.proven(name, version, target)[0] for name, version in versions.items()]
        sites = [installed_site(wheel, proof.sha256, self.context) for wheel, proof in wheels]
        scratch = self.context.folder(self.root.name, self.root.version) / "start"
        runner = self.context.runner(self.root.name, self.root.version)
        return start_fault(self.root, Trial(self.context.emulator, sites, scratch, runner))


def _in_short(text: str) -> str:
    """Return the first two lines of a message, and the last one: the cause, if a program's output ends it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()] or ["it failed"]
    return " ".join([*lines[:2], *lines[2:][-1:]])
