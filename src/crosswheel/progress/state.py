"""What is known at one moment: which packages are expected, running and finished.

A :class:`RunState` never changes; an event makes a new one. So it can be drawn by one thread while others go on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

Outcome = Literal["taken", "built", "found", "failed", "blocked"]
"""How a package ended: its wheel was *taken* from the registry, *built* now, or *found* as built before; its
build *failed*; or it was *blocked*, because something that it needs failed."""

STYLES: Mapping[Outcome, str] = {
    "taken": "cyan",
    "built": "green",
    "found": "blue",
    "failed": "bold red",
    "blocked": "yellow",
}


@dataclass(frozen=True)
class Running:
    """A package that is being worked on.

    Attributes:
        since: when it was taken up, on the monotonic clock (seconds).
        worked: seconds of work on it until it had to wait for others.
    """

    package: str
    version: str
    step: str
    since: float
    detail: str = ""
    worked: float = 0.0

    def seconds(self, now: float) -> float:
        """Return how long it has been worked on."""
        return self.worked + now - self.since


@dataclass(frozen=True)
class Ended:
    """A package that is finished; ``seconds`` is ``None`` if there was nothing to do for it."""

    package: str
    version: str
    outcome: Outcome
    seconds: float | None
    note: str


@dataclass(frozen=True)
class RunState:
    """All packages, by what they are at: expected (name and version), running, waiting for others, ended.

    ``versions`` are those that are expected, by name; ``name_width`` is the length of the longest ``name version`` that
    may have to be shown. What happens to a package costs the same however many there are.
    """

    expected: tuple[tuple[str, str], ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    running: Mapping[str, Running] = field(default_factory=dict)
    waiting: Mapping[str, Running] = field(default_factory=dict)
    ended: tuple[Ended, ...] = ()
    name_width: int = 0

    @property
    def total(self) -> int:
        """How many packages there are, as far as is known."""
        return max(len(self.expected), len(self.running) + len(self.waiting) + len(self.ended))

    @property
    def counts(self) -> Counter[Outcome]:
        """How many packages ended in which way."""
        return Counter(ended.outcome for ended in self.ended)

    @property
    def failures(self) -> list[Ended]:
        """The packages that failed, the first one first."""
        return [ended for ended in self.ended if ended.outcome == "failed"]

    def version_of(self, package: str) -> str:
        """Return the version that is worked on or expected, or an empty string if nobody told."""
        running = self.running.get(package)
        return running.version if running else self.versions.get(package, "")

    def expecting(self, packages: Sequence[tuple[str, str]]) -> RunState:
        """Return the state in which ``packages`` are to come as well."""
        return replace(
            self,
            expected=tuple(dict.fromkeys([*self.expected, *packages])),
            versions={**self.versions, **dict(packages)},
            name_width=self._wider(packages),
        )

    def with_running(self, running: Running) -> RunState:
        """Return the state in which a package is being worked on as given; what was done before it waited counts."""
        known = self.waiting.get(running.package)
        if known:
            running = replace(running, worked=known.worked)
        return replace(
            self,
            running={**self.running, running.package: running},
            waiting=_without(self.waiting, running.package),
            name_width=self._wider([(running.package, running.version)]),
        )

    def with_waiting(self, package: str, now: float) -> RunState:
        """Return the state in which a package waits for others, if it was being worked on."""
        running = self.running.get(package)
        if running is None:
            return self
        waiting = replace(running, worked=running.seconds(now), since=now)
        return replace(
            self, running=_without(self.running, package), waiting={**self.waiting, package: waiting}
        )

    def with_ended(self, ended: Ended) -> RunState:
        """Return the state in which a package is finished."""
        return replace(
            self,
            running=_without(self.running, ended.package),
            waiting=_without(self.waiting, ended.package),
            ended=(*self.ended, ended),
            name_width=self._wider([(ended.package, ended.version)]),
        )

    def _wider(self, packages: Sequence[tuple[str, str]]) -> int:
        return max([self.name_width, *(len(f"{name} {version}") for name, version in packages)])


def _without(packages: Mapping[str, Running], name: str) -> Mapping[str, Running]:
    return {key: running for key, running in packages.items() if key != name}
