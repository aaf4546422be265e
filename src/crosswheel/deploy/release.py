"""Defines releases as they are sent to robots: a release has packages, and a package has files named by their hash."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from crosswheel.agent.manifest import PYTHON, PYTHON_FOLDER, digest_of_package, id_of
from crosswheel.files import new_file, sha256_of, write_text
from crosswheel.targets import Target

if TYPE_CHECKING:
    from crosswheel.agent.manifest import Entry

_LEVEL = 5  # 1 % more bytes than level 6, in two thirds of the time
_BLOCK = 1 << 16


@dataclass(frozen=True)
class PackageFile:
    """A file of an environment: its relative path, hash, size and permission."""

    path: str
    sha256: str
    size: int
    executable: bool

    @property
    def entry(self) -> Entry:
        """The file's entry in the list that the robot gets."""
        return self.path, self.sha256, self.size, self.executable


@dataclass(frozen=True)
class Package:
    """An installed package: its files, and their folder on this machine."""

    name: str
    version: str
    folder: Path
    files: tuple[PackageFile, ...]

    @cached_property
    def digest(self) -> str:
        """Its name by content."""
        return digest_of_package(self.name, self.version, self.listing)

    @property
    def listing(self) -> list[Entry]:
        """The list of its files for the robot."""
        return [file.entry for file in self.files]

    @property
    def offer(self) -> dict[str, object]:
        """All but the list of files: of those, the folders of site-packages that it has, and what lies in none.

        A Python is one folder.
        """
        is_python = self.name == PYTHON
        folders = [(file.path, PYTHON_FOLDER if is_python else _folder_of(file.path)) for file in self.files]
        return {
            "name": self.name,
            "version": self.version,
            "digest": self.digest,
            "size": sum(file.size for file in self.files),
            "folders": sorted({folder for _, folder in folders if folder}),
            "files": [path for path, folder in folders if not folder],
        }

    @property
    def packed(self) -> Path:
        """The path of its compressed files, for a robot that has none of them."""
        return self.folder.with_name(f"{self.folder.name}.zlib")

    def pack(self) -> None:
        """Compress its files and keep the result beside them."""
        with new_file(self.packed) as temporary, temporary.open("wb") as sink:
            sink.writelines(data for data, _ in PackagePart(self, self.files).stream())

    @classmethod
    def read(cls, name: str, version: str, folder: Path) -> Package:
        """Return the package in a folder; keep the list of its files beside them."""
        kept = folder.with_name(f"{folder.name}.json")
        if not kept.is_file():
            read_files = [_file(path, folder) for path in sorted(folder.rglob("*")) if path.is_file()]
            write_text(kept, json.dumps([file.entry for file in read_files]))
        files = tuple(PackageFile(*entry) for entry in json.loads(kept.read_text()))
        return cls(name, version, folder, files)


def _folder_of(path: str) -> str | None:
    """Return the top folder of site-packages that has a file at any depth."""
    parts = path.split("/")
    return "/".join(parts[:4]) if parts[2:3] == ["site-packages"] and len(parts) > 4 else None


def _file(path: Path, folder: Path) -> PackageFile:
    status = path.stat()
    executable = bool(status.st_mode & 0o100)
    return PackageFile(path.relative_to(folder).as_posix(), sha256_of(path), status.st_size, executable)


@dataclass(frozen=True)
class PackagePart:
    """Files of a package that a robot lacks."""

    package: Package
    files: tuple[PackageFile, ...]

    @property
    def size(self) -> int:
        """The bytes of its files."""
        return sum(file.size for file in self.files)

    def stream(self) -> Iterator[tuple[bytes, int]]:
        """Yield its files compressed, one after the other: blocks, and the uncompressed bytes in each."""
        if self.files == self.package.files and self.package.packed.is_file():
            yield from self._kept()
            return
        deflate = zlib.compressobj(_LEVEL)
        for file in self.files:
            with (self.package.folder / file.path).open("rb") as source:
                for block in iter(lambda: source.read(_BLOCK), b""):
                    yield deflate.compress(block), len(block)
        yield deflate.flush(), 0

    def _kept(self) -> Iterator[tuple[bytes, int]]:
        share = self.size / self.package.packed.stat().st_size
        with self.package.packed.open("rb") as source:
            for block in iter(lambda: source.read(_BLOCK), b""):
                yield block, round(len(block) * share)


@dataclass(frozen=True)
class Release:
    """An environment at one state.

    Attributes:
        name: the name of the environment on the robot.
        program: the name of the package that it is for.
        version: the version of that package.
        closure: that package and all that it needs.
        launchers: the launchers of its programs, as a package.
        programs: the programs that get a launcher on the robot's ``PATH``.
        test: commands, relative to the environment, that have to succeed before it becomes the active one.
        python: the Python that it brings; ``None`` if the robot's own runs it.
    """

    name: str
    program: str
    version: str
    target: Target
    closure: tuple[Package, ...]
    launchers: Package
    programs: tuple[str, ...]
    test: tuple[tuple[str, ...], ...]
    python: Package | None = None

    @property
    def packages(self) -> tuple[Package, ...]:
        """All packages that are sent."""
        return (*((self.python,) if self.python else ()), *self.closure, self.launchers)

    @property
    def versions(self) -> dict[str, str]:
        """The versions of its closure, by name."""
        return {package.name: package.version for package in self.closure}

    @property
    def offer(self) -> dict[str, object]:
        """The description that the robot gets first: everything except the lists of files."""
        return {
            "name": self.name,
            "version": self.version,
            "target": self._target,
            "programs": list(self.programs),
            "test": [list(words) for words in self.test],
            "packages": [package.offer for package in self.packages],
        }

    @property
    def id(self) -> str:
        """Its name by content."""
        return id_of(self.offer)

    @property
    def file_count(self) -> int:
        """The number of its files."""
        return sum(len(package.files) for package in self.packages)

    @property
    def size(self) -> int:
        """The bytes of all its files."""
        return sum(file.size for package in self.packages for file in package.files)

    def lists(self, digests: Iterable[str]) -> dict[str, list[Entry]]:
        """Return the lists of files of some packages, by digest."""
        selected = frozenset(digests)
        return {package.digest: package.listing for package in self.packages if package.digest in selected}

    def parts(self, numbers: Mapping[str, Iterable[int]]) -> list[PackagePart]:
        """Return the files of packages with the given numbers in their lists, by digest."""
        packages = {package.digest: package for package in self.packages}
        return [
            PackagePart(packages[digest], tuple(packages[digest].files[number] for number in indices))
            for digest, indices in numbers.items()
        ]

    @cached_property
    def contents(self) -> Mapping[str, Path]:
        """The path of each file on this machine, by SHA-256."""
        return {
            file.sha256: package.folder / file.path for package in self.packages for file in package.files
        }

    @property
    def _target(self) -> dict[str, object]:
        target = self.target
        return {
            **({"provided": True} if self.python else {}),
            "name": target.name,
            "machine": target.machine,
            "python": target.python.short,
            "soabi": target.python.soabi,
            **({"musl": target.abi.musl} if target.abi.musl else {"glibc": target.abi.glibc}),
        }
