"""Scan a tree of wheels for each wheel and the files next to it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from packaging.utils import canonicalize_name

from crosswheel.errors import UsageError
from crosswheel.files import digest_of
from crosswheel.wheels.layout import (
    BATCH_SUFFIX,
    FAILURE_SUFFIX,
    PROOF_SUFFIX,
    SIDECAR_SUFFIXES,
    YANKED_SUFFIX,
)

Stamp = tuple[tuple[str, int, int], ...]
"""Name, size and modification time (ns) of a wheel and of each file next to it; identifies their state."""


@dataclass(frozen=True)
class ScannedWheel:
    """A wheel in the tree: its path below the tree's root, and the stamp of it and the files next to it."""

    location: str
    stamp: Stamp

    def path(self, dist: Path) -> Path:
        """Return the wheel's path; ``dist`` is the tree's root."""
        return dist / self.location

    def sibling(self, dist: Path, name: str) -> Path:
        """Return the path of the file with this name next to the wheel."""
        return dist / (self.location[: -len(self.filename)] + name)

    @property
    def filename(self) -> str:
        """The wheel's file name."""
        return self.stamp[0][0]

    @property
    def size(self) -> int:
        """The wheel's size in bytes."""
        return self.stamp[0][1]

    @property
    def changed(self) -> int:
        """The wheel's modification time, in nanoseconds since the epoch."""
        return self.stamp[0][2]

    @property
    def proof_names(self) -> list[str]:
        """The file names of its proofs, at most one for each target."""
        return [name for name, _, _ in self.stamp if name.endswith(PROOF_SUFFIX)]

    @property
    def sidecar_names(self) -> list[str]:
        """The file names of all files published with it: its proofs, provenances and SBOMs."""
        return [name for name, _, _ in self.stamp if name.endswith(SIDECAR_SUFFIXES)]

    @property
    def yanked_by(self) -> str | None:
        """The name of the file that yanks it, if there is one."""
        filename = self.filename + YANKED_SUFFIX
        return next((name for name, _, _ in self.stamp if name == filename), None)


@dataclass(frozen=True)
class ProjectWheels:
    """The wheels of one project that lie in the tree.

    Attributes:
        found: the wheels.
        digest: changes when a wheel or a file next to it changes.
    """

    scanned: tuple[ScannedWheel, ...]
    digest: str

    @classmethod
    def of(cls, scanned: Iterable[ScannedWheel]) -> ProjectWheels:
        """Group these wheels, which belong to one project."""
        wheels = tuple(scanned)
        return cls(wheels, digest_of(found=[(wheel.location, wheel.stamp) for wheel in wheels]))


@dataclass(frozen=True)
class Tree:
    """The contents of a tree of wheels.

    Attributes:
        projects: the wheels by the normalised name of their project, in the order of names.
        failures: the paths of the records of failed builds.
        batches: the paths of the journals of batches.
    """

    projects: Mapping[str, ProjectWheels]
    failures: tuple[Path, ...]
    batches: tuple[Path, ...] = ()


def scan(dist: Path) -> Tree:
    """Scan a folder at any depth; ignore hidden files and folders.

    Raises:
        UsageError: there is no such folder.
    """
    if not dist.is_dir():
        raise UsageError(f"there is no folder {dist}", hint="build packages first, or give --dist-tree-root.")
    root = len(os.path.join(dist, ""))  # noqa: PTH118
    wheels: list[tuple[str, list[tuple[str, int, int]]]] = []
    failures: list[Path] = []
    batches: list[Path] = []
    for file in _files(str(dist)):
        status = file.stat()
        stamp = (file.name, status.st_size, status.st_mtime_ns)
        if file.name.endswith(".whl"):
            wheels.append((file.path[root:], [stamp]))
        elif file.name.endswith(FAILURE_SUFFIX):
            failures.append(Path(file.path))
        elif file.name.endswith(BATCH_SUFFIX):
            batches.append(Path(file.path))
        elif wheels and file.path.startswith(f"{wheels[-1][0]}.", root):
            # In sorted order, the files that belong to a wheel follow it directly.
            wheels[-1][1].append(stamp)
    scanned = (ScannedWheel(location, tuple(stamps)) for location, stamps in wheels)
    return Tree(_by_project(scanned), tuple(failures), tuple(batches))


def _by_project(wheels: Iterable[ScannedWheel]) -> dict[str, ProjectWheels]:
    spelled: dict[str, list[ScannedWheel]] = {}
    for wheel in wheels:
        spelled.setdefault(wheel.filename.partition("-")[0], []).append(wheel)
    projects: dict[str, list[ScannedWheel]] = {}
    for name, wheels_of_name in spelled.items():
        projects.setdefault(canonicalize_name(name), []).extend(wheels_of_name)
    return {name: ProjectWheels.of(wheels_of_name) for name, wheels_of_name in sorted(projects.items())}


def _files(folder: str) -> Iterator[os.DirEntry[str]]:
    """Yield the files below a folder in depth-first order: each folder's own by name, then its subfolders'."""
    folders = [folder]
    while folders:
        with os.scandir(folders.pop()) as items:
            visible = sorted([item for item in items if item.name[0] != "."], key=attrgetter("name"))
        below = []
        for item in visible:
            if item.is_file():
                yield item
            elif item.is_dir(follow_symlinks=False):
                below.append(item.path)
        folders += reversed(below)
