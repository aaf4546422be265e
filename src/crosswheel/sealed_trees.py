"""Notice at each use that a file of an unpacked tool is not the one that was unpacked: compilers, Pythons, libraries.

Beside each tree of the cache is a sealed list of its files with their hashes. To hash them all at each use would take
longer than many a command, so the list also has what the file system tells of each file, above all the time of its last
change (``st_ctime``): the kernel sets it whenever a file is written, renamed or given other rights or times, and lets
nobody choose it. Only a file for which this differs is hashed anew, such as each in a cache that was copied.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from crosswheel.errors import IntegrityError, StorageError
from crosswheel.files import new_file, sha256_of
from crosswheel.seals import Seals

_SUFFIX = ".files.json"
_MOST_TEXT = 1 << 20  # bytes
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True)
class _File:
    """A file of a tree, or a symbolic link.

    Attributes:
        content: the SHA-256 of its bytes, or where a link leads.
        mode: its type and rights.
        size: its size in bytes.
        modified: the time of its last modification, in nanoseconds since the epoch.
        changed: the time of the last change of it or of what is known of it, likewise.
        names_place: whether it is a text that names the folder of the tree.
    """

    content: str
    mode: int
    size: int
    modified: int
    changed: int
    names_place: bool = False


@dataclass(frozen=True)
class SealedTree:
    """A folder of the cache whose files are listed beside it.

    Attributes:
        folder: where it lies.
        seals: what seals the list.
    """

    folder: Path
    seals: Seals

    def seal(self, filled: Path) -> None:
        """List the files of a folder that was filled and is about to become the tree.

        Raises:
            StorageError: the list cannot be written.
        """
        files = {}
        for path, _ in _walk(filled):
            with contextlib.suppress(FileNotFoundError):  # bytecode that another process is writing
                files[path] = _listed(filled / path, self._place)
        self._write(files)

    def is_trusted(self) -> bool:
        """Return whether the tree has exactly the files that were put there; ``False`` if that is not known.

        A tree without a list counts if nobody but this user and root can have written to it, and is listed. Bytecode
        that differs from the list is removed: Python writes it wherever it may, and then reads it without its source.

        Raises:
            IntegrityError: a file is another one, is lacking, or was added.
        """
        if not self.seals.is_kept:  # the next command has another key, so there is nothing to compare with
            return True
        listed = self._read()
        if listed is None:
            return self._is_adopted()
        place, files = listed
        now = self._relocated(self._compared(files), place)
        if now is not files:
            with contextlib.suppress(StorageError):  # a cache that this user may only read
                self._write(now)
        return True

    def faults(self) -> list[str]:
        """Return how the tree differs from its list, a sentence each, after hashing every file."""
        listed = self._read()
        if listed is None:
            return [f"{self.folder}: its list is missing, or was not sealed with this user's key"]
        found = dict(_walk(self.folder))
        return list(self._faults(listed[1], found, found))

    @property
    def list_path(self) -> Path:
        """The path of the list."""
        place = self.folder.resolve()  # it, or its kind of the cache, may be a link to another disk
        return place.with_name(f".{place.name}{_SUFFIX}")

    @property
    def _place(self) -> str:
        """Where it really lies."""
        return str(self.folder.resolve())

    def _read(self) -> tuple[str, dict[str, _File]] | None:
        """Return where the tree lay when it was listed, and its files; ``None`` without a list of this user's."""
        text = self.seals.read(self.list_path, self.list_path.name)
        if text is None:
            return None
        stated: dict[str, Any] = json.loads(text)
        return stated["place"], {path: _File(**file) for path, file in stated["files"].items()}

    def _write(self, files: Mapping[str, _File]) -> None:
        stated = {"place": self._place, "files": {path: asdict(file) for path, file in files.items()}}
        self.seals.write(self.list_path, self.list_path.name, json.dumps(stated, separators=(",", ":")))

    def _compared(self, files: dict[str, _File]) -> dict[str, _File]:
        """Return what is listed of the files, renewed for those that were only copied or touched."""
        found = dict(_walk(self.folder))
        suspects = {path for path, status in found.items() if not _is_as_listed(files.get(path), status)}
        for fault in self._faults(files, found, suspects):
            raise IntegrityError(
                f"{fault}: something else than crosswheel wrote to the cache, or the disk is failing",
                hint="find out what it was. `crosswheel cache verify --remove` removes what differs: it is made anew.",
            )
        renewed = {path: _with_status(files[path], found[path]) for path in suspects if path in files}
        return {**files, **renewed} if renewed else files

    def _faults(
        self, files: Mapping[str, _File], found: Mapping[str, os.stat_result], suspects: Iterable[str]
    ) -> Iterator[str]:
        """Yield how the tree differs from its list, and remove bytecode that does.

        Args:
            found: the files that are there.
            suspects: those to hash.
        """
        for path in sorted(files.keys() - found.keys()):
            if not _is_bytecode(path):
                yield f"{self.folder / path} is gone"
        for path in suspects:
            file, status = files.get(path), found[path]
            if file and stat.S_IFMT(status.st_mode) == stat.S_IFMT(file.mode):
                with contextlib.suppress(FileNotFoundError):
                    if _content(self.folder / path, status) == file.content:
                        continue
            if _is_bytecode(path):
                (self.folder / path).unlink(missing_ok=True)  # Python makes it anew
            else:
                yield f"{self.folder / path} was {'changed' if file else 'added'}"

    def _is_adopted(self) -> bool:
        if not _is_private(self.folder):
            return False
        with contextlib.suppress(StorageError):
            self.seal(self.folder)
        return True

    def _relocated(self, files: dict[str, _File], place: str) -> dict[str, _File]:
        """Return the list of a tree that lay elsewhere, after the texts that named that folder name this one."""
        if place == self._place:
            return files
        relocated = {}
        for path in [path for path, file in files.items() if file.names_place]:
            file = self.folder / path
            mode, data = stat.S_IMODE(file.stat().st_mode), file.read_bytes()
            with new_file(file, mode) as temporary:
                temporary.write_bytes(data.replace(place.encode(), self._place.encode()))
            relocated[path] = _listed(file, self._place)
        return {**files, **relocated}


def sealed_trees(cache: Path, seals: Seals) -> Iterator[SealedTree]:
    """Yield the trees of a cache that have a list."""
    for pattern in (f".*{_SUFFIX}", f"*/.*{_SUFFIX}"):
        for path in sorted(cache.glob(pattern)):
            folder = path.with_name(path.name[1:].removesuffix(_SUFFIX))
            if folder.is_dir():
                yield SealedTree(folder, seals)


def _walk(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the files and links below a folder by their relative paths, with what the file system tells of each."""
    below = [""]
    while below:
        prefix = below.pop()
        with os.scandir(folder / prefix) as items:
            for item in items:
                path = f"{prefix}{item.name}"
                if item.is_dir(follow_symlinks=False):
                    below.append(f"{path}/")
                else:
                    with contextlib.suppress(FileNotFoundError):
                        yield path, item.stat(follow_symlinks=False)


def _is_as_listed(file: _File | None, status: os.stat_result) -> bool:
    """Return whether the file system tells the same of a file as when it was listed."""
    now = (status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return file is not None and now == (file.mode, file.size, file.modified, file.changed)


def _listed(path: Path, place: str) -> _File:
    status = path.lstat()
    return _with_status(_File(_content(path, status), 0, 0, 0, 0, _names(path, status, place)), status)


def _with_status(file: _File, status: os.stat_result) -> _File:
    return _File(
        file.content, status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns, file.names_place
    )


def _content(path: Path, status: os.stat_result) -> str:
    if stat.S_ISLNK(status.st_mode):
        return str(path.readlink())
    return sha256_of(path) if stat.S_ISREG(status.st_mode) else hashlib.sha256().hexdigest()


def _names(path: Path, status: os.stat_result, place: str) -> bool:
    if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_TEXT:
        return False
    data = path.read_bytes()
    return place.encode() in data and b"\0" not in data


def _is_bytecode(path: str) -> bool:
    return "__pycache__" in path.split("/")


def _is_private(folder: Path) -> bool:
    """Return whether nobody but this user and root can write to a folder, to what is in it, or to its way."""
    own = {os.geteuid(), 0}
    below = [Path(name) for name, _, _ in os.walk(folder)]
    statuses = [status for _, status in _walk(folder) if not stat.S_ISLNK(status.st_mode)]
    if any(status.st_uid not in own or status.st_mode & _WRITABLE_BY_OTHERS for status in statuses):
        return False
    for path in (*below, *folder.resolve().parents):
        status = path.stat()
        sticky = status.st_mode & stat.S_ISVTX  # as of /tmp: others can remove nothing there
        if status.st_uid not in own or (status.st_mode & _WRITABLE_BY_OTHERS and not sticky):
            return False
    return True
