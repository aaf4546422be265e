"""Installed packages, each in a folder of its own: its place.

A place is named by the package's content; where a program changed what lies in one, a whole package of the same content
goes into another beside it, named with a number after a dot. What uses the changed one goes on with it.
"""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

from crosswheel.agent.disk import (
    make_folders,
    remove_tree,
    replace_text,
    sha256_of,
    sync,
    write_shared,
)
from crosswheel.agent.manifest import Refused, digest_of_package

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crosswheel.agent.manifest import BytesOf, Entry, Key, Manifest

    # What tells that a file was not written to: its size, time of change of its bytes and of all else, and inode.
    Stamp = list[int]

_UNFINISHED = ".unfinished-"
# A file that was changed more lately may be changed again without another time: clocks tick, and what writes through
# memory is given a new time only once the bytes before are on the disk.
_SETTLED_NS = 60 * 10**9
_CHANGED = "its bytes have changed"


class Packages:
    """The packages that are here, for all environments; crosswheel never changes one, but programs may."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._faults: dict[str, dict[str, str]] = {}  # by place, as far as it was looked at
        self._stamps: dict[str, list[Stamp | None]] = {}

    def lacking(self, release: Manifest) -> list[Manifest]:
        """Return a release's packages that are not here as a whole."""
        return [p for p in release["packages"] if self.find(p["digest"]) is None]

    def find(self, digest: str) -> str | None:
        """Return the place where a package is whole, or ``None``."""
        return next((place for place in self._places(digest) if not self.faults(place)), None)

    def placed(self, release: Manifest) -> Manifest:
        """Return a release whose packages are all here, with the place of each that is not the usual one."""
        packages = []
        for package in release["packages"]:
            place = self.find(package["digest"])
            packages.append(package if place == package["digest"] else {**package, "place": place})
        return {**release, "packages": packages}

    def folder(self, place: str) -> str:
        """Return the folder of a package's files."""
        return f"{self.root}/{place}/files"

    def files(self, place: str) -> list[Entry]:
        """Return the list of a package's files; an empty one where it is damaged."""
        found: list[Entry] = self._read(place, "package.json")
        return found

    def own(self, place: str) -> list[str]:
        """Return the paths in a package of which each release gets a copy of its own, as a program changes them."""
        found: list[str] = self._read(place, "own.json")
        return found

    def faults(self, place: str, *, thorough: bool = False) -> dict[str, str]:
        """Compare every file of a package with its hash; return what is wrong, by path.

        Args:
            thorough: whether files are read, too, that were whole when they were last read and not written to since.
        """
        if thorough or place not in self._faults:
            seen = [] if thorough else self._read(place, "seen.json")
            self._faults[place] = dict(self._compared(place, seen))
        return self._faults[place]

    def remember(self) -> None:
        """Keep what was found out about files that are whole, so that the next deployment need not read them."""
        for place, stamps in self._stamps.items():
            replace_text(self.root / place / "seen.json", json.dumps(stamps, separators=(",", ":")), 0o644)
        self._stamps.clear()

    def changed(self, place: str) -> set[str]:
        """Return the paths in a package that programs have written to, and of files that they have added."""
        listed, folder = {path for path, *_ in self.files(place)}, self.folder(place)
        added = {
            os.path.relpath(os.path.join(where, name), folder)
            for where, _, names in os.walk(folder)
            if not where.endswith("__pycache__")
            for name in names
        }
        faults = self.faults(place, thorough=True)
        return {path for path, fault in faults.items() if fault == _CHANGED} | (
            added - listed if listed else set()
        )

    def sweep(self, used: set[str]) -> None:
        """Remove the places that no release uses, and what is left of transfers."""
        for folder in self.root.glob("*"):
            if folder.name not in used:
                remove_tree(folder, ignore_errors=True)

    def unfinished(self, digest: str) -> Path:
        """Return where a package is put together."""
        return self.root / f"{_UNFINISHED}{digest}"

    def finish(self, digest: str) -> None:
        """Give a package that was put together, whole and on the disk, its place."""
        taken = self._places(digest)
        place = next(name for name in _names(digest) if name not in taken)
        self.unfinished(digest).rename(self.root / place)
        self._faults[place] = {}

    def _places(self, digest: str) -> list[str]:
        there = [digest, *sorted(path.name for path in self.root.glob(f"{digest}.*"))]
        return [place for place in there if (self.root / place).is_dir()]

    def _read(self, place: str, name: str) -> list:  # type: ignore[type-arg]
        # Power that fails may leave a file empty, or full of zeros.
        try:
            found = json.loads((self.root / place / name).read_bytes())
        except (OSError, ValueError):
            return []
        return found if isinstance(found, list) else []

    def _compared(self, place: str, seen: list[Stamp | None]) -> Iterator[tuple[str, str]]:
        folder, files = self.folder(place), self.files(place)
        if not files:
            yield "package.json", "it is damaged"
        settled = time.time_ns() - _SETTLED_NS
        stamps: list[Stamp | None] = []
        for number, (path, sha256, _, executable) in enumerate(files):
            stamps.append(None)
            try:
                status = os.lstat(f"{folder}/{path}")
                stamp = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
                known = number < len(seen) and seen[number] == stamp
                found = sha256 if known else sha256_of(f"{folder}/{path}")
            except OSError as error:
                yield path, str(error.strerror)
                continue
            if found != sha256 or not stat.S_ISREG(status.st_mode):
                yield path, _CHANGED
            elif bool(status.st_mode & 0o100) is not executable:
                yield path, "its permissions have changed"
            elif status.st_ctime_ns < settled:
                stamps[-1] = stamp
        if stamps != seen:
            self._stamps[place] = stamps


class Arrival:
    """Packages that are about to come: what of them is here already, and what has to be sent.

    Args:
        packages: what a release says of each.
        lists: the list of files of each, by digest.
        donors: for each name of a package, the places of packages of that name, which may have some of the files.

    Raises:
        Refused: a list is not the one that the release promises.
    """

    def __init__(
        self,
        store: Packages,
        packages: list[Manifest],
        lists: dict[str, list[Entry]],
        donors: dict[str, set[str]],
    ) -> None:
        self._store = store
        self._packages = packages
        self._lists = lists
        for package in packages:
            files = lists.get(package["digest"], [])
            if digest_of_package(package["name"], package["version"], files) != package["digest"]:
                raise Refused("damaged", f"the list of files of {package['name']} is not what was promised")
        self._own: dict[str, set[str]] = {
            name: {path for place in places for path in (*store.own(place), *store.changed(place))}
            for name, places in donors.items()
        }
        self._known: dict[Key, str] = {
            (sha256, executable): f"{store.folder(place)}/{path}"
            for place in sorted(place for places in donors.values() for place in places)
            for path, sha256, _, executable in store.files(place)
            if path not in store.faults(place)
        }
        self.lacking = {p["digest"]: self._lacking(p["digest"]) for p in packages}

    @property
    def need(self) -> int:
        """How many bytes of the file system it will take."""
        disk = next(path for path in (self._store.root, *self._store.root.parents) if path.is_dir())
        block = os.statvfs(disk).f_frsize
        sizes = [self._lists[d][number][2] for d, numbers in self.lacking.items() for number in numbers]
        folders = sum(len({path.rpartition("/")[0] for path, *_ in files}) for files in self._lists.values())
        return sum(-(-size // block) * block for size in sizes) + 2 * block * folders

    def receive(self, bytes_of: BytesOf) -> None:
        """Take what was lacking, in its order, given by hash and size; then the packages are here.

        Raises:
            Refused: bytes are not the promised ones. What came before stays, and is not lacking next time.
        """
        for package in self._packages:
            self._write(package["digest"], bytes_of)
            self._tell(package)
        if self._packages:
            sync(self._store.root)  # before they have their names
        for package in self._packages:
            self._store.finish(package["digest"])

    def _lacking(self, digest: str) -> list[int]:
        """Return the numbers of the files that are neither in a known package nor came before."""
        folder = f"{self._store.unfinished(digest)}/files"
        begun = os.path.isdir(folder)
        return [
            number
            for number, (path, sha256, size, executable) in enumerate(self._lists[digest])
            if (sha256, executable) not in self._known
            and not (begun and _is_whole(f"{folder}/{path}", sha256, size, executable))
        ]

    def _write(self, digest: str, bytes_of: BytesOf) -> None:
        files, folder = self._lists[digest], f"{self._store.unfinished(digest)}/files"
        begun, lacking = os.path.isdir(folder), set(self.lacking[digest])
        make_folders(folder, (path.rpartition("/")[0] for path, *_ in files))
        for number, (path, sha256, size, executable) in enumerate(files):
            place, known = f"{folder}/{path}", self._known.get((sha256, executable))
            if begun and (known or number in lacking) and os.path.lexists(place):
                os.unlink(place)  # it was cut off
            if known:
                os.link(known, place)
            elif number in lacking:
                write_shared(place, sha256, executable, bytes_of(sha256, size))

    def _tell(self, package: Manifest) -> None:
        """Write down what a package has, and which of that programs change."""
        folder, own = self._store.unfinished(package["digest"]), self._own.get(package["name"])
        if own:
            (folder / "own.json").write_text(json.dumps(sorted(own)))
        text = json.dumps(self._lists[package["digest"]], separators=(",", ":"))
        (folder / "package.json").write_text(text)


def _names(digest: str) -> Iterator[str]:
    yield digest
    number = 0
    while True:
        number += 1
        yield f"{digest}.{number}"


def _is_whole(path: str, sha256: str, size: int, executable: bool) -> bool:
    """Tell whether a file of a transfer that was interrupted came as a whole; only its bytes can tell."""
    try:
        status = os.stat(path)
        return (
            status.st_size == size
            and bool(status.st_mode & 0o100) is executable
            and sha256_of(path) == sha256
        )
    except FileNotFoundError:
        return False
