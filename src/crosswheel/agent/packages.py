"""Keeps installed packages, each in a folder of its own: its slot.

The package's digest names the slot. Where a program changed files of a slot, a whole copy of the package goes into
another slot, whose name has a number after a dot; releases that use the changed one keep it.
"""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

from crosswheel.agent.disk import make_folders, remove_tree, replace_text, sha256_of, sync, write_shared
from crosswheel.agent.manifest import Refused, digest_of_package

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crosswheel.agent.manifest import BytesOf, Entry, Key, Manifest

    # What shows that a file was not written to: its size, its mtime and ctime, and its inode.
    Stamp = list[int]

_UNFINISHED = ".unfinished-"
# A file that was changed more lately may be changed again without another time: clocks tick, and what writes through
# memory is given a new time only once the bytes before are on the disk.
_SETTLED_NS = 60 * 10**9
_CHANGED = "its bytes have changed"


class Packages:
    """The packages of all environments; crosswheel never changes an installed one, but programs may."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._faults: dict[str, dict[str, str]] = {}  # by slot, as far as they were compared
        self._stamps: dict[str, list[Stamp | None]] = {}

    def lacking(self, release: Manifest) -> list[Manifest]:
        """Return the packages of a release that are missing or damaged."""
        return [p for p in release["packages"] if self.find(p["digest"]) is None]

    def find(self, digest: str) -> str | None:
        """Return a slot with a whole copy of a package, or ``None``."""
        return next((slot for slot in self._slots(digest) if not self.faults(slot)), None)

    def placed(self, release: Manifest) -> Manifest:
        """Return a release with the slot of each package that is not in its usual one; all packages must be there."""
        packages = []
        for package in release["packages"]:
            slot = self.find(package["digest"])
            packages.append(package if slot == package["digest"] else {**package, "place": slot})
        return {**release, "packages": packages}

    def folder(self, slot: str) -> str:
        """Return the folder of a package's files."""
        return f"{self.root}/{slot}/files"

    def files(self, slot: str) -> list[Entry]:
        """Return the list of a package's files; an empty list if it is damaged."""
        entries: list[Entry] = self._read(slot, "package.json")
        return entries

    def mutable(self, slot: str) -> list[str]:
        """Return the files of a package that programs change, of which each release gets a copy."""
        paths: list[str] = self._read(slot, "own.json")
        return paths

    def faults(self, slot: str, *, thorough: bool = False) -> dict[str, str]:
        """Compare every file of a package with its hash; return the faults, by path.

        Args:
            thorough: also read files that were whole when last read and have not been written to since.
        """
        if thorough or slot not in self._faults:
            known_stamps = [] if thorough else self._read(slot, "seen.json")
            self._faults[slot] = dict(self._compared(slot, known_stamps))
        return self._faults[slot]

    def remember(self) -> None:
        """Record which files are whole, so that the next deployment does not read them again."""
        for slot, stamps in self._stamps.items():
            replace_text(self.root / slot / "seen.json", json.dumps(stamps, separators=(",", ":")), 0o644)
        self._stamps.clear()

    def changed(self, slot: str) -> set[str]:
        """Return the paths of the files in a package that programs have changed or added."""
        listed, folder = {path for path, *_ in self.files(slot)}, self.folder(slot)
        added = {
            os.path.relpath(os.path.join(where, name), folder)
            for where, _, names in os.walk(folder)
            if not where.endswith("__pycache__")
            for name in names
        }
        faults = self.faults(slot, thorough=True)
        return {path for path, fault in faults.items() if fault == _CHANGED} | (
            added - listed if listed else set()
        )

    def sweep(self, in_use: set[str]) -> None:
        """Remove the slots that no release uses, and the remains of transfers."""
        for folder in self.root.glob("*"):
            if folder.name not in in_use:
                remove_tree(folder, ignore_errors=True)

    def unfinished(self, digest: str) -> Path:
        """Return the folder in which a package is assembled."""
        return self.root / f"{_UNFINISHED}{digest}"

    def finish(self, digest: str) -> None:
        """Rename an assembled package, which is whole and synced to the disk, to its slot."""
        taken = self._slots(digest)
        slot = next(name for name in _names(digest) if name not in taken)
        self.unfinished(digest).rename(self.root / slot)
        self._faults[slot] = {}

    def _slots(self, digest: str) -> list[str]:
        names = [digest, *sorted(path.name for path in self.root.glob(f"{digest}.*"))]
        return [slot for slot in names if (self.root / slot).is_dir()]

    def _read(self, slot: str, name: str) -> list:  # type: ignore[type-arg]
        # A power cut may leave a file empty, or full of zeros.
        try:
            value = json.loads((self.root / slot / name).read_bytes())
        except (OSError, ValueError):
            return []
        return value if isinstance(value, list) else []

    def _compared(self, slot: str, known_stamps: list[Stamp | None]) -> Iterator[tuple[str, str]]:
        folder, files = self.folder(slot), self.files(slot)
        if not files:
            yield "package.json", "it is damaged"
        settled = time.time_ns() - _SETTLED_NS
        stamps: list[Stamp | None] = []
        for number, (path, sha256, _, executable) in enumerate(files):
            stamps.append(None)
            try:
                status = os.lstat(f"{folder}/{path}")
                stamp = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
                known = number < len(known_stamps) and known_stamps[number] == stamp
                digest = sha256 if known else sha256_of(f"{folder}/{path}")
            except OSError as error:
                yield path, str(error.strerror)
                continue
            if digest != sha256 or not stat.S_ISREG(status.st_mode):
                yield path, _CHANGED
            elif bool(status.st_mode & 0o100) is not executable:
                yield path, "its permissions have changed"
            elif status.st_ctime_ns < settled:
                stamps[-1] = stamp
        if stamps != known_stamps:
            self._stamps[slot] = stamps


class Arrival:
    """Packages to be transferred: which of their files this machine has, and which must be sent.

    Args:
        packages: the release's descriptions of them.
        lists: the list of files of each package, by digest.
        donors: the slots of other versions, which may have some of the files, by package name.

    Raises:
        Refused: a list does not have the digest that the release states.
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
        self._mutable: dict[str, set[str]] = {
            name: {path for slot in slots for path in (*store.mutable(slot), *store.changed(slot))}
            for name, slots in donors.items()
        }
        self._known: dict[Key, str] = {
            (sha256, executable): f"{store.folder(slot)}/{path}"
            for slot in sorted(slot for slots in donors.values() for slot in slots)
            for path, sha256, _, executable in store.files(slot)
            if path not in store.faults(slot)
        }
        self.lacking = {p["digest"]: self._lacking(p["digest"]) for p in packages}

    @property
    def need(self) -> int:
        """The bytes of the file system that it will take."""
        disk = next(path for path in (self._store.root, *self._store.root.parents) if path.is_dir())
        block = os.statvfs(disk).f_frsize
        sizes = [self._lists[d][number][2] for d, numbers in self.lacking.items() for number in numbers]
        folders = sum(len({path.rpartition("/")[0] for path, *_ in files}) for files in self._lists.values())
        return sum(-(-size // block) * block for size in sizes) + 2 * block * folders

    def receive(self, bytes_of: BytesOf) -> None:
        """Receive the missing files in their order, each by hash and size, and finish the packages.

        Raises:
            Refused: a file has another hash. Files before it stay, and are not missing next time.
        """
        for package in self._packages:
            self._write(package["digest"], bytes_of)
            self._tell(package)
        if self._packages:
            sync(self._store.root)  # before the packages are renamed
        for package in self._packages:
            self._store.finish(package["digest"])

    def _lacking(self, digest: str) -> list[int]:
        """Return the numbers of the files that neither a known package nor an interrupted transfer has."""
        folder = f"{self._store.unfinished(digest)}/files"
        resumed = os.path.isdir(folder)
        return [
            number
            for number, (path, sha256, size, executable) in enumerate(self._lists[digest])
            if (sha256, executable) not in self._known
            and not (resumed and _is_whole(f"{folder}/{path}", sha256, size, executable))
        ]

    def _write(self, digest: str, bytes_of: BytesOf) -> None:
        files, folder = self._lists[digest], f"{self._store.unfinished(digest)}/files"
        resumed, lacking = os.path.isdir(folder), set(self.lacking[digest])
        make_folders(folder, (path.rpartition("/")[0] for path, *_ in files))
        for number, (path, sha256, size, executable) in enumerate(files):
            destination, known = f"{folder}/{path}", self._known.get((sha256, executable))
            if resumed and (known or number in lacking) and os.path.lexists(destination):
                os.unlink(destination)  # its transfer was interrupted
            if known:
                os.link(known, destination)
            elif number in lacking:
                write_shared(destination, sha256, executable, bytes_of(sha256, size))

    def _tell(self, package: Manifest) -> None:
        """Write a package's list of files, and of those that programs change."""
        folder, mutable = self._store.unfinished(package["digest"]), self._mutable.get(package["name"])
        if mutable:
            (folder / "own.json").write_text(json.dumps(sorted(mutable)))
        text = json.dumps(self._lists[package["digest"]], separators=(",", ":"))
        (folder / "package.json").write_text(text)


def _names(digest: str) -> Iterator[str]:
    yield digest
    number = 0
    while True:
        number += 1
        yield f"{digest}.{number}"


def _is_whole(path: str, sha256: str, size: int, executable: bool) -> bool:
    """Tell whether a file of an interrupted transfer is complete, by its hash."""
    try:
        status = os.stat(path)
        return (
            status.st_size == size
            and bool(status.st_mode & 0o100) is executable
            and sha256_of(path) == sha256
        )
    except FileNotFoundError:
        return False
