"""Explains why exact releases do not fit a target, and which ones would, where the resolver only refuses."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Iterable, Sequence

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from crosswheel.errors import CrosswheelError, LockError, PlanError
from crosswheel.job.context import BuildContext
from crosswheel.lock import Pin
from crosswheel.projects.foreign_locks import ForeignPin
from crosswheel.registry import Registry, ReleaseFile
from crosswheel.targets import Target

_FITTING = "ask for one that fits, or leave it out"
_PYTHON = f"{_FITTING}; a target may bring another Python along: see docs/targets.md."


def explained(error: LockError, pins: Sequence[ForeignPin], context: BuildContext) -> LockError:
    """Return the resolver's error, extended by each exact release that does not fit the target, and the reason.

    Args:
        pins: the requested exact releases.

    Returns:
        The same error if none of them is the reason.
    """
    with context.questions() as pool:
        misfits = [
            misfit
            for misfit in pool.map(lambda pin: _misfit(pin, context.target, context.registry), pins)
            if misfit
        ]
    if not misfits:
        return error
    listed = "\n".join(f"    {misfit}" for misfit in misfits)
    return LockError(
        f"{len(misfits)} of {len(pins)} releases do not fit {context.target.title}:\n{listed}",
        hint=" ".join(dict.fromkeys(misfit.hint for misfit in misfits)),
    )


def exact_releases(requirements: Iterable[str]) -> tuple[ForeignPin, ...]:
    """Return the releases that requirements name exactly."""
    pins = []
    for text in requirements:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        exact = [specifier for specifier in requirement.specifier if specifier.operator == "=="]
        if exact and not exact[0].version.endswith(".*"):
            pins.append(ForeignPin(requirement.name, exact[0].version))
    return tuple(pins)


def _misfit(pin: ForeignPin, target: Target, registry: Registry) -> LockError | None:
    """Return why a release does not fit the target, and what helps; ``None`` if it fits."""
    python = target.python.version
    try:
        files = registry.release_files(pin.name, pin.version)
    except PlanError as error:
        return LockError(f"{pin.name} {pin.version}: {error}", hint=error.hint)
    except CrosswheelError:
        return None
    fitting = [file for file in files if fits_python(file, python)]
    if not fitting:
        return LockError(
            f"{_needing(pin.name, pin.version, files, python)}; {_newest(pin.name, target, registry)}",
            hint=_PYTHON,
        )
    if pin.hashes and not any(f"sha256:{file.sha256}" in pin.hashes for file in fitting):
        return LockError(
            f"{pin.name} {pin.version}: none of the registry's files has a hash that is stated for it",
            hint=f"{_FITTING}; find out who changed them, the registry or the file, before you renew the hash.",
        )
    return None


def _needing(name: str, version: str, files: Iterable[ReleaseFile], python: str) -> str:
    needed = ", ".join(sorted({file.requires_python or "" for file in files}))
    return f"{name} {version} needs Python {needed}, and there it is {python}"


def for_another_python(
    pin: Pin,
    until: datetime.date,
    target: Target,
    registry: Registry,
    is_meant: Callable[[Version], bool] = lambda version: True,
) -> str | None:
    """Return that the newest final release after a locked one needs another Python, and what helps; ``None`` if not.

    Args:
        until: the last day on which a release may have come out.
        is_meant: tells whether a release counts.

    Raises:
        PlanError: the registry has no such project.
        NetworkError: it cannot be reached.
    """
    python, needing = target.python.version, dict[Version, Sequence[ReleaseFile]]()
    for version, files in registry.releases(pin.name).items():
        usable = [file for file in files if not file.yanked and _came_by(file, until)]
        if usable and version > Version(pin.version) and not version.is_prerelease and is_meant(version):
            needing[version] = [] if any(fits_python(file, python) for file in usable) else usable
    newest = max(needing, default=None)
    if newest is None or not needing[newest]:
        return None
    told = _needing(pin.name, str(newest), needing[newest], python)
    return f"{told}; a target may bring another Python along: see docs/targets.md"


def _came_by(file: ReleaseFile, day: datetime.date) -> bool:
    return file.upload_time is None or file.upload_time.astimezone(datetime.timezone.utc).date() <= day


def _newest(name: str, target: Target, registry: Registry) -> str:
    version = newest_fitting(name, target, registry)
    return f"the newest that fits is {version}" if version else "no release of it fits"


def newest_fitting(
    name: str, target: Target, registry: Registry, taken: Collection[str] = ()
) -> Version | None:
    """Return the newest release of a project for the target's Python: a final release, unless all are pre-releases.

    Args:
        taken: versions to pass over.

    Raises:
        PlanError: the registry has no such project.
        NetworkError: it cannot be reached.
    """
    python = target.python.version
    fitting = [
        version
        for version, files in registry.releases(name).items()
        if str(version) not in taken and any(fits_python(file, python) and not file.yanked for file in files)
    ]
    final = [version for version in fitting if not version.is_prerelease]
    return max(final or fitting, default=None)


def fits_python(file: ReleaseFile, python: str) -> bool:
    """Tell whether a file's Requires-Python allows a version of Python; a file without one allows all."""
    try:
        return SpecifierSet(file.requires_python or "").contains(python, prereleases=True)
    except InvalidSpecifier:
        return True
