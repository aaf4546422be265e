"""Keep userlands: a machine's own files, as far as its programs load them, stored by content.

The digest of its manifest names a userland, so two machines with the same image share one. A file that several
userlands contain is stored once.
"""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal, Protocol

from crosswheel.cached import CachedFolder, cache_path
from crosswheel.errors import IntegrityError
from crosswheel.files import (
    explained_storage_errors,
    make_folder,
    place_link,
    remove_tree,
    sha256_of,
    write_text,
)

_BLOCK = 1 << 20
_MANIFEST = "manifest.json"
_MOST_LINKS = 40  # Linux's limit


class Readable(Protocol):
    """A stream of bytes that is read once, from beginning to end."""

    def read(self, size: int = -1, /) -> bytes:
        """Return this many bytes; fewer at the end, and none after it."""


@dataclass(frozen=True)
class UserlandEntry:
    """A file or link of a machine.

    Attributes:
        kind: ``file``, or ``link`` for a symbolic one.
        sha256: the hash of a file's bytes.
        executable: whether a file is executable.
        link: a link's target, relative to its folder, and never outside the machine's root.
    """

    kind: Literal["file", "link"]
    sha256: str = ""
    executable: bool = False
    link: str = ""


@dataclass(frozen=True)
class Userland:
    """A stored userland.

    Attributes:
        digest: the SHA-256 of its manifest.
        root: the folder that holds its files like the machine's root.
        entries: its files and links, by path on the machine.
    """

    digest: str
    root: Path
    entries: Mapping[str, UserlandEntry]

    def path(self, path: str) -> Path:
        """Return the stored path of a file of the machine; links on the way are followed within the root."""
        return self.root / resolved(path, lambda name: _link_of(self.entries, name))[1:]

    def has(self, path: str) -> bool:
        """Return whether a file of the machine is stored."""
        return self.path(path).is_file()

    def damaged(self) -> list[str]:
        """Return the files that were modified since, by path on the machine; reads every byte."""
        files = ((path, entry) for path, entry in self.entries.items() if entry.kind == "file")
        return [path for path, entry in files if not _is_of(self.root / path[1:], entry.sha256)]


class UserlandStore:
    """The userlands in a cache."""

    def __init__(self, cache: Path) -> None:
        self._folder = cache_path(cache, "userlands")

    def has_blob(self, sha256: str) -> bool:
        """Return whether a file with this content is stored undamaged."""
        return _is_of(self._blob(sha256), sha256)

    def count(self) -> int:
        """Return the number of stored files."""
        return sum(1 for _ in (self._folder / "files").glob("??/*"))

    def put_blob(self, stream: Readable) -> str:
        """Store a file's content; return its SHA-256.

        Raises:
            StorageError: it cannot be written.
        """
        blobs = self._folder / "files"
        with explained_storage_errors(blobs):
            make_folder(blobs)
            handle, name = tempfile.mkstemp(prefix=".new.", dir=blobs)
            temporary, digest = Path(name), hashlib.sha256()
            try:
                with os.fdopen(handle, "wb") as sink:
                    for block in iter(lambda: stream.read(_BLOCK), b""):
                        digest.update(block)
                        sink.write(block)
                temporary.chmod(0o755)  # the manifest records which files are executable
                blob = self._blob(digest.hexdigest())
                if not self.has_blob(digest.hexdigest()):  # all userlands with this file share it
                    make_folder(blob.parent)
                    temporary.replace(blob)
            finally:
                temporary.unlink(missing_ok=True)
        return digest.hexdigest()

    def keep(self, entries: Mapping[str, UserlandEntry]) -> Userland:
        """Lay out a userland from stored files; lay it out anew if a file was modified.

        Raises:
            StorageError: it cannot be written.
        """
        text = json.dumps({path: asdict(entries[path]) for path in sorted(entries)}, sort_keys=True, indent=0)
        digest = hashlib.sha256(text.encode()).hexdigest()
        folder = self._folder / digest
        userland = Userland(digest, folder / "root", entries)
        if userland.damaged():
            remove_tree(folder)
        CachedFolder(folder, [_MANIFEST, "root"]).make(partial(self._lay_out, entries, text))
        return userland

    def kept(self, digest: str) -> Userland | None:
        """Return the userland with a digest; ``None`` if it is not stored.

        Raises:
            IntegrityError: its manifest was modified.
        """
        folder = self._folder / digest
        try:
            text = (folder / _MANIFEST).read_bytes()
        except FileNotFoundError:
            return None
        if hashlib.sha256(text).hexdigest() != digest:
            raise IntegrityError(
                f"the manifest of the userland {digest[:12]} was changed",
                hint=f"remove {folder}, and learn the machine again.",
            )
        entries = {path: UserlandEntry(**values) for path, values in json.loads(text).items()}
        return Userland(digest, folder / "root", entries)

    def _lay_out(self, entries: Mapping[str, UserlandEntry], text: str, folder: Path) -> None:
        root = folder / "root"
        root.mkdir()
        # Links last, so that no file is written through a link.
        for path, entry in sorted(entries.items(), key=lambda item: item[1].kind):
            temporary = root / path[1:]
            temporary.parent.mkdir(parents=True, exist_ok=True)
            if entry.kind == "link":
                temporary.symlink_to(entry.link)
            else:
                place_link(self._blob(entry.sha256), temporary)
        write_text(folder / _MANIFEST, text)

    def _blob(self, sha256: str) -> Path:
        return self._folder / "files" / sha256[:2] / sha256


def resolved(path: str, link_of: Callable[[str], str | None]) -> str:
    """Resolve a path on a machine with known links; ``..`` never leaves the root.

    Args:
        link_of: returns the target of the link at a path; ``None`` if there is no link.

    Raises:
        IntegrityError: links form a circle.
    """
    pending, reached, links = path.split("/")[::-1], "/", 0
    while pending:
        name = pending.pop()
        if name in ("", "."):
            continue
        if name == "..":
            reached = posixpath.dirname(reached)
            continue
        step = posixpath.join(reached, name)
        target = link_of(step)
        if target is None:
            reached = step
            continue
        links += 1
        if links > _MOST_LINKS:
            raise IntegrityError(
                f"the links at {path} lead in a circle",
                hint="mend the root file system, or name another one.",
            )
        reached = "/" if target.startswith("/") else reached
        pending += target.split("/")[::-1]
    return reached


def links_on_the_way(path: str, link_of: Callable[[str], str | None]) -> Iterator[str]:
    """Yield the links on the way to a path, by their own paths.

    Raises:
        IntegrityError: links form a circle.
    """
    passed: list[str] = []

    def noted(step: str) -> str | None:
        target = link_of(step)
        if target is not None:
            passed.append(step)
        return target

    resolved(path, noted)
    yield from dict.fromkeys(passed)


def _link_of(entries: Mapping[str, UserlandEntry], path: str) -> str | None:
    entry = entries.get(path)
    return entry.link if entry and entry.kind == "link" else None


def _is_of(path: Path, sha256: str) -> bool:
    return path.is_file() and sha256_of(path) == sha256
