"""Chooses the wheels of releases for this machine, as opposed to those for the target."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.tags import Tag, compatible_tags, cpython_tags, platform_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from crosswheel.errors import PlanError
from crosswheel.registry import Registry, ReleaseFile
from crosswheel.targets import Target


@dataclass(frozen=True)
class HostWheel:
    """A release with the wheel of it for this machine, or the reason why there is none."""

    name: str
    version: str
    wheel: Path | None = None
    reason: str = ""
    sha256: str = ""


def published_for_host(
    name: str, version: str, sha256: Collection[str] | None, tags: Collection[Tag], registry: Registry
) -> HostWheel:
    """Choose a release's wheel for this machine; for a locked release, only wheels whose hash is in the lock.

    Raises:
        NetworkError: the wheel cannot be fetched.
    """
    try:
        files = registry.release_files(name, version)
    except PlanError as error:
        return HostWheel(name, version, reason=str(error))
    fitting = [
        file for file in files if takes(file.filename, tags) and (sha256 is None or file.sha256 in sha256)
    ]
    if not fitting:
        return HostWheel(name, version, reason="no wheel of it is for this machine, where nothing is built")
    best = min(fitting, key=_rank)
    return HostWheel(name, version, registry.fetch(best), sha256=best.sha256)


def takes(filename: str, tags: Collection[Tag]) -> bool:
    """Tell whether a file is a wheel with one of these tags."""
    try:
        return not parse_wheel_filename(filename)[3].isdisjoint(tags)
    except InvalidWheelFilename:
        return False


def _rank(file: ReleaseFile) -> tuple[bool, str]:
    """Return the sort key that puts native wheels before pure ones."""
    return file.filename.endswith("-any.whl"), file.filename


def host_tags(target: Target) -> Iterator[Tag]:
    """Yield the tags that a Python of the target's version accepts on this machine."""
    numbers = target.python.numbers
    platforms = list(platform_tags())
    yield from cpython_tags(numbers, platforms=platforms)
    yield from compatible_tags(numbers, f"cp{''.join(map(str, numbers))}", platforms)
