"""Locks renewed for the sake of advisories: which releases mend what is locked, and how few have to change for that."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from packaging.utils import canonicalize_name
from packaging.version import Version

from crosswheel import lock as locks
from crosswheel.audit.advisories import Vulnerability
from crosswheel.audit.auditing import AdvisorySources
from crosswheel.audit.exceptions import AuditException, apply_exceptions
from crosswheel.audit.subjects import subjects_of
from crosswheel.errors import LockError
from crosswheel.job.closures import resolve
from crosswheel.job.context import BuildContext
from crosswheel.job.misfits import fits_python, for_another_python
from crosswheel.lock import Lock, Pin
from crosswheel.progress.wording import plural
from crosswheel.provenance.parts import Part
from crosswheel.recipes.model import Recipe
from crosswheel.resolver import Request
from crosswheel.uv import Renewal

_MOST_DAYS = 16  # that are tried for one package, from the lock's own on


@dataclass(frozen=True)
class Advised:
    """What advisories say of releases; each release is looked for once."""

    sources: AdvisorySources
    excused: Sequence[AuditException]
    now: datetime.datetime
    context: BuildContext
    _known: dict[tuple[str, str], tuple[Vulnerability, ...]] = field(default_factory=dict)

    def affecting(self, name: str, version: str) -> tuple[Vulnerability, ...]:
        """Return the advisories that affect a release, and are not excused; errors as in :meth:`look_for`."""
        self.look_for([(name, version)])
        return self._known[name, version]

    def look_for(self, releases: Iterable[tuple[str, str]]) -> None:
        """Read the advisories of releases, by name and version, at once. Of the user's own projects there are none.

        Raises: as :meth:`AdvisorySources.matches`.
        """
        own = {release.name for release in self.context.projects}
        missing = sorted(set(releases) - self._known.keys())
        parts = [
            Part(name, version, f"pkg:pypi/{name}@{version}") for name, version in missing if name not in own
        ]
        findings = self._read(parts) if parts else ()
        self._known.update(dict.fromkeys(missing, ()))
        for finding in findings:
            key = finding.subject.part.name, finding.subject.version
            self._known[key] = (*self._known[key], finding)

    def _read(self, parts: Sequence[Part]) -> tuple[Vulnerability, ...]:
        display = self.context.display
        display.message(f"Looking for known vulnerabilities of {_titles(parts)}.")
        matches = self.sources.matches(subjects_of(parts), self.context.settings, self.now, lambda text: None)
        for text in matches.undecided:
            display.warning(f"not decided: {text}")
        return apply_exceptions(matches.findings, self.excused, self.now.date()).counted

    def affected(self, pins: Collection[Pin]) -> dict[str, tuple[Vulnerability, ...]]:
        """Return what affects locked releases, by the name of the package; errors as in :meth:`look_for`."""
        self.look_for((pin.name, pin.version) for pin in pins)
        by_name = {pin.name: self.affecting(pin.name, pin.version) for pin in pins}
        return {name: findings for name, findings in by_name.items() if findings}


@dataclass(frozen=True)
class Mending:
    """How a root's lock is renewed so that advisories no longer affect it.

    Attributes:
        renewal: what stays of the lock; ``None`` where nothing is to be renewed.
        unmended: the locked releases that stay affected, each with the reason.
    """

    renewal: Renewal | None
    unmended: Mapping[Pin, str]


def mending(
    root: Recipe,
    lock: Lock,
    names: Collection[str],
    until: datetime.date,
    advised: Advised,
    context: BuildContext,
) -> Mending:
    """Return how few releases of a lock may be newer for none of it to be affected.

    Of each affected release, a newer one is taken that is not: that of the earliest day as of which it resolves with
    all that is locked. Others become newer only where no release that is not affected resolves with theirs.

    Args:
        names: packages that are meant; all, if none is given.
        until: the newest day.

    Raises:
        NetworkError: the registry cannot be reached.
        CrosswheelError: of the sources of advisories.
    """
    meant = {canonicalize_name(name) for name in names}
    search = _Search(root, lock, until, advised, context)
    renewal, pins, unmended = search.unchanged, lock.pins, {}
    for name, findings in advised.affected(lock.pins.values()).items():
        pin = lock.pins[name]
        if (meant and name not in meant) or search.is_mended(pin, lock.pins, pins):
            continue
        better = search.mended(pin, renewal, pins)
        if isinstance(better, str):
            unmended[pin] = f"{', '.join(finding.id for finding in findings)}: {better}"
        else:
            renewal, pins = better
    return Mending(None if renewal == search.unchanged else renewal, unmended)


@dataclass(frozen=True)
class _Search:
    root: Recipe
    lock: Lock
    until: datetime.date
    advised: Advised
    context: BuildContext

    @property
    def unchanged(self) -> Renewal:
        text = locks.path_of(self.root, self.context.target).read_text()
        return Renewal(text, (), locks.exceptions_of(self.lock.made_for))

    def is_mended(self, pin: Pin, before: Mapping[str, Pin], after: Mapping[str, Pin]) -> bool:
        """Return whether a locked release is gone or a newer one, and no package is affected that was not before."""
        new = after.get(pin.name)
        if new and Version(new.version) <= Version(pin.version):
            return False
        affected = self.advised.affected(after.values())
        return pin.name not in affected and affected.keys() <= self.advised.affected(before.values()).keys()

    def mended(
        self, pin: Pin, renewal: Renewal, before: Mapping[str, Pin]
    ) -> tuple[Renewal, Mapping[str, Pin]] | str:
        """Return the smallest renewal that mends a locked release, with its releases; or why there is none.

        Args:
            renewal: one that mends others, which stays part of it; ``before`` is what it leads to.
        """
        if pin.name == self.root.canonical_name:
            return "it is what the lock is for; `crosswheel add` adds a newer release of it"
        days = self._days(pin)
        if not days:
            told = self._for_another_python(pin)
            why = f"; {told}" if told else ""
            return f"no newer release that fits came out by {self.until} and is not affected{why}"
        newest = self._newest(pin, days, renewal)
        for further in self._attempts(pin, days, newest, renewal) if newest else ():
            pins = self._resolved(self.root.roots, self.root.as_of, further)
            if pins and self.is_mended(pin, before, pins):
                return further, pins
        good = ", ".join(str(version) for version in sorted(days))
        return f"what else is locked does not go with the releases that are not affected: {good}"

    def _days(self, pin: Pin) -> dict[Version, datetime.date]:
        """Return the newer releases that are not affected and fit the target's Python, with the day each came out."""
        after = max(
            filter(None, (self.root.as_of, self.unchanged.exceptions.get(pin.name))),
            default=datetime.date.min,
        )
        python = self.context.target.python.version
        days = {}
        for version, files in self.context.registry.releases(pin.name).items():
            fitting = [file for file in files if fits_python(file, python) and not file.yanked]
            times = [file.upload_time for file in fitting if file.upload_time]
            day = min(times).astimezone(datetime.timezone.utc).date() if times else self.until
            if fitting and version > Version(pin.version) and after < day <= self.until:
                days[version] = day
        self.advised.look_for((pin.name, str(version)) for version in days)
        return {
            version: day
            for version, day in days.items()
            if not self.advised.affecting(pin.name, str(version))
        }

    def _for_another_python(self, pin: Pin) -> str | None:
        """Return that a release which is not affected needs another Python, and what helps; ``None`` if none does."""
        registry = self.context.registry
        newer = [version for version in registry.releases(pin.name) if version > Version(pin.version)]
        self.advised.look_for((pin.name, str(version)) for version in newer)
        return for_another_python(
            pin,
            self.until,
            self.context.target,
            registry,
            lambda version: not self.advised.affecting(pin.name, str(version)),
        )

    def _newest(
        self, pin: Pin, days: Mapping[Version, datetime.date], renewal: Renewal
    ) -> dict[str, Pin] | None:
        """Return what is resolved with the newest release that is not affected, whatever else must be newer for it."""
        # A bound that names a pre-release would allow them.
        bad = [
            version
            for version in self.context.registry.releases(pin.name)
            if version > Version(pin.version) and version not in days and not version.is_prerelease
        ]
        bounds = "".join(f",!={version}" for version in [pin.version, *bad])
        free = Renewal(renewal.preferred, (*renewal.upgraded, pin.name))
        requirements = (*self.root.roots, f"{pin.name}>={pin.version}{bounds}")
        return self._resolved(requirements, self.until, free)

    def _attempts(
        self, pin: Pin, days: Mapping[Version, datetime.date], newest: Mapping[str, Pin], renewal: Renewal
    ) -> Iterator[Renewal]:
        if self.root.as_of:
            for day in sorted(set(days.values()))[:_MOST_DAYS]:
                yield _with(renewal, {pin.name: day}, is_dated=True)
        moved = {
            name: self.until
            for name, after in newest.items()
            if name not in self.lock.pins or self.lock.pins[name].version != after.version
        }
        if pin.name in newest:
            moved[pin.name] = days.get(Version(newest[pin.name].version), self.until)
        kept = {name: day for name, day in moved.items() if name not in renewal.upgraded}
        for further in (kept, moved):
            yield _with(renewal, further, is_dated=self.root.as_of is not None)

    def _resolved(
        self, requirements: tuple[str, ...], day: datetime.date | None, renewal: Renewal
    ) -> dict[str, Pin] | None:
        try:
            resolution = resolve(Request(requirements), day, self.context, renewal=renewal)
        except LockError:
            return None
        return {pin.name: pin for pin in resolution.pins}


def _with(renewal: Renewal, days: Mapping[str, datetime.date], *, is_dated: bool) -> Renewal:
    """Return a renewal with further packages that may be newer; those of a lock without a day have none either."""
    exceptions = {**renewal.exceptions, **days} if is_dated else renewal.exceptions
    return Renewal(renewal.preferred, tuple(sorted({*renewal.upgraded, *days})), exceptions)


def _titles(parts: Sequence[Part]) -> str:
    names = sorted({part.name for part in parts})
    return (
        f"{plural(len(parts), 'release')} of {names[0] if len(names) == 1 else plural(len(names), 'package')}"
    )
