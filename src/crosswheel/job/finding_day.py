"""Finds the newest day as of which a release works with its dependencies, by bisection."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from crosswheel.build.requirements import own_store
from crosswheel.emulation.trials import Trial
from crosswheel.errors import CrosswheelError, HostError, LockError
from crosswheel.job.closures import closure_of_pins, resolve
from crosswheel.job.context import BuildContext
from crosswheel.job.proving import installed_site
from crosswheel.job.running import run_closure
from crosswheel.lock import Pin
from crosswheel.resolver import Request
from crosswheel.wheels.dist import Dist

_DAY = datetime.timedelta(days=1)
# Loads the entry point of each of a distribution's programs; starts the program of the distribution's name with --help.
_PROGRAMS = """
import importlib.metadata, sys
programs = [p for p in importlib.metadata.distribution(sys.argv[1]).entry_points if p.group == "console_scripts"]
loaded = {p.name: p.load() for p in programs}
if sys.argv[1] in loaded:
    sys.argv = [sys.argv[1], "--help"]
    sys.exit(loaded[sys.argv[0]]())
"""
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


def newest_that_works(first: datetime.date, last: datetime.date, attempt: Attempt) -> FoundDay:
    """Return the newest day that works, assuming that every day before it works, too.

    The last day is tried first, then the first, then days between them by bisection.

    Raises:
        LockError: the first day fails, too.
    """
    reason = attempt(last)
    if reason is None:
        return FoundDay(last)
    early = attempt(first) if first < last else reason
    if early is not None:
        raise LockError(
            f"neither as of {last} nor as of {first}, when it came out, does it work: {early}",
            hint="the day is not the cause: mend what fails with a recipe, and add it again.",
        )
    tried, works, fails = 2, first, last
    while fails - works > _DAY:
        middle = works + (fails - works) // 2
        found = attempt(middle)
        tried += 1
        if found is None:
            works = middle
        else:
            fails, reason = middle, found
    return FoundDay(works, fails, reason, tried)


def find_day(requirement: str, context: BuildContext) -> FoundDay:
    """Find the newest day as of which a release can be built, proven and started with all that it needs.

    Raises:
        LockError: no day works, or the registry does not date the release's files.
        PlanError: the registry has no such release.
    """
    stated = Requirement(requirement)
    today = datetime.datetime.now(datetime.timezone.utc).date()
    pins = {pin.name: pin for pin in resolve(Request((requirement,)), None, context).pins}
    root = pins[canonicalize_name(stated.name)]
    files = context.registry.release_files(root.name, root.version)
    times = [file.upload_time for file in files if file.upload_time]
    if not times:
        raise LockError(
            f"the registry does not tell when {root} came to it, so no day can be found",
            hint="name a registry that tells it (PEP 700), or give the day with --as-of.",
        )
    extras = f"[{','.join(sorted(stated.extras))}]" if stated.extras else ""
    exact = f"{root.name}{extras}=={root.version}"
    return newest_that_works(min(times).date(), today, _Attempts(exact, root, context))


@dataclass
class _Attempts:
    """Tries days; days that resolve to the same releases are tried once."""

    requirement: str
    root: Pin
    context: BuildContext
    _known: dict[frozenset[str], str | None] = field(default_factory=dict)

    def __call__(self, day: datetime.date) -> str | None:
        self.context.display.message(f"Trying {self.requirement} as of {day}.")
        try:
            pins = resolve(Request((self.requirement,)), day, self.context).pins
            key = frozenset(map(str, pins))
            if key not in self._known:
                self._known[key] = self._fault(pins, day)
            return self._known[key]
        except HostError:
            raise
        except CrosswheelError as error:
            self.context.cancellation.raise_if_requested()
            return _first_line(str(error))

    def _fault(self, pins: Iterable[Pin], day: datetime.date) -> str | None:
        store = own_store(self.context.trees.build, self.requirement, self.context.target, day)
        closure = closure_of_pins((self.requirement,), pins, store, self.context)
        rows = run_closure(closure, self.context)
        failed = next((row for row in rows if row.outcome == "failed"), None)
        if failed is not None:
            return f"{failed.package} {failed.version}: {_first_line(failed.error or '')}"
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
        result = Trial(self.context.emulator, sites, scratch, runner).run("-c", _PROGRAMS, self.root.name)
        lines = [line for line in result.lines if line.strip()]
        if result.returncode == 0 or not any(line.startswith("Traceback") for line in lines):
            return None  # not every program knows --help
        return f"{self.root} does not start: {lines[-1].strip()}"


def _first_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines[:2]) if lines else "it failed"
