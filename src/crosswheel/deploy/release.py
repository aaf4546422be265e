"""What is sent to a robot: a release of an isolated environment, made of packages, made of files named by content."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from crosswheel.deploy.agent import digest_of_package, id_of
from crosswheel.files import sha256_of, write_text
from crosswheel.targets import Target


@dataclass(frozen=True)
class File:
    """A file of an environment: its path there, relative, and what it is."""

    path: str
    sha256: str
    size: int
    executable: bool

    @property
    def entry(self) -> list[object]:
        """As the manifest of a release has it."""
        return [self.path, self.sha256, self.size, self.executable]


@dataclass(frozen=True)
class Package:
    """An installed package: its files, and the folder that they lie in on this machine."""

    name: str
    version: str
    folder: Path
    files: tuple[File, ...]

    @cached_property
    def digest(self) -> str:
        """Its name by content."""
        return digest_of_package(self._content)

    @property
    def listing(self) -> list[list[object]]:
        """Its files as the manifest has them."""
        return [file.entry for file in self.files]

    @property
    def _content(self) -> dict[str, Any]:
        return {"name": self.name, "version": self.version, "files": self.listing}

    @classmethod
    def read(cls, name: str, version: str, folder: Path) -> Package:
        """Return the package that lies in a folder; what is found out about its files is kept beside them."""
        kept = folder.with_name(f"{folder.name}.json")
        if not kept.is_file():
            found = [_file(path, folder) for path in sorted(folder.rglob("*")) if path.is_file()]
            write_text(kept, json.dumps([file.entry for file in found]))
        files = tuple(File(*entry) for entry in json.loads(kept.read_text()))
        return cls(name, version, folder, files)


def _file(path: Path, folder: Path) -> File:
    status = path.stat()
    executable = bool(status.st_mode & 0o100)
    return File(path.relative_to(folder).as_posix(), sha256_of(path), status.st_size, executable)


@dataclass(frozen=True)
class Release:
    """An environment at one state.

    Attributes:
        name: of the environment on the robot.
        program: the name of the package that it is for.
        version: of that package.
        closure: that package and all that it needs.
        launchers: what is run by those who call a program of it.
        programs: what gets a launcher on the robot's ``PATH``.
        test: commands, relative to the environment, that have to succeed before it becomes the active one.
    """

    name: str
    program: str
    version: str
    target: Target
    closure: tuple[Package, ...]
    launchers: Package
    programs: tuple[str, ...]
    test: tuple[tuple[str, ...], ...]

    @property
    def packages(self) -> tuple[Package, ...]:
        """All that is sent."""
        return (*self.closure, self.launchers)

    @property
    def offer(self) -> dict[str, object]:
        """What the robot is told first: everything but the lists of files."""
        packages = [{"name": p.name, "version": p.version, "digest": p.digest} for p in self.packages]
        return {
            "name": self.name,
            "version": self.version,
            "target": self._target,
            "programs": list(self.programs),
            "test": [list(words) for words in self.test],
            "packages": packages,
        }

    @property
    def manifest(self) -> dict[str, object]:
        """All of it, as a bundle holds it."""
        return {**self.offer, "packages": [{**p._content, "digest": p.digest} for p in self.packages]}

    @property
    def id(self) -> str:
        """Its name by content."""
        return id_of(self.offer)

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.size for package in self.packages for file in package.files)

    def listings(self, digests: Iterable[str]) -> dict[str, list[list[object]]]:
        """Return the lists of files of some packages, by digest."""
        wanted = frozenset(digests)
        return {package.digest: package.listing for package in self.packages if package.digest in wanted}

    @cached_property
    def contents(self) -> Mapping[str, Path]:
        """Where the bytes of each file are, by SHA-256."""
        return {
            file.sha256: package.folder / file.path for package in self.packages for file in package.files
        }

    @property
    def _target(self) -> dict[str, str]:
        target = self.target
        return {
            "name": target.name,
            "machine": target.machine,
            "python": target.python.short,
            "soabi": target.python.soabi,
            "glibc": target.abi.glibc,
        }
