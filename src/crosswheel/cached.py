"""Owns the places of the cache, and the way in which what lies there is made: looked for, made apart, and renamed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from crosswheel.errors import IntegrityError
from crosswheel.files import digest_of, exclusive, new_file, new_folder, remove_tree
from crosswheel.sealed_trees import SealedTree
from crosswheel.seals import Seals

# What the cache has, a folder for each kind: what is made from the same inputs lies below it under their digest.
CacheKind = Literal[
    # Wheels: published files, answers of registries, what was taken or built, and what was proven of it.
    "files", "registry", "made", "metadata", "proofs", "bundles", "shared", "shared-with", "handed", "sites",
    "installed", "trials",
    # Sources.
    "cargo", "git", "python-source", "uv",
    # Compilers and what they link.
    "asked-for", "build-systems", "compat", "fortran", "libraries", "pkg-config", "rust", "sdks", "tools", "zig",
    # Machines, and what runs their programs.
    "agents", "debian", "emulators", "interpreters", "machine-runs", "python", "python-headers", "qemu-user", "robots",
    "roots", "userlands", "verified", "views",
    # Workers of a cluster.
    "cluster",
]  # fmt: skip


_PROGRAMS: frozenset[CacheKind] = frozenset({
    "compat", "emulators", "fortran", "libraries", "python", "python-headers", "qemu-user", "roots", "rust", "tools",
})  # fmt: skip
"""The kinds that are run, or become a part of wheels: their files are compared with those that were put there."""


def cache_path(cache: Path, kind: CacheKind) -> Path:
    """Return the folder of the cache that has everything of one kind; it need not be there yet."""
    return cache / kind


@dataclass(frozen=True)
class CachedFolder:
    """A folder that is made once, from inputs that its name stands for.

    Attributes:
        path: where it lies.
        holds: patterns of paths (:meth:`Path.glob`) that it is used for. Each must match a folder, or a file that is
            not empty.
        is_sealed: whether its files are listed when it is filled, and compared with that list at each use.
    """

    path: Path
    holds: Sequence[str]
    is_sealed: bool = False

    @classmethod
    def of(
        cls, cache: Path, kind: CacheKind, inputs: str | Mapping[str, object], holds: Sequence[str]
    ) -> CachedFolder:
        """Return the folder of a cache for what is made of some inputs: named by their digest, or as it is told."""
        return cls(cached_path(cache, kind, inputs), holds, kind in _PROGRAMS)

    @property
    def is_whole(self) -> bool:
        """Whether it is there, and holds what it is used for."""
        return _is_whole(self.path, self.holds)

    @property
    def is_usable(self) -> bool:
        """Whether it is whole, and what lies there is what was put there.

        Raises:
            IntegrityError: a file in it is another one.
        """
        return self.is_whole and (not self.is_sealed or self.tree.is_trusted())

    @property
    def tree(self) -> SealedTree:
        """Its files, as they are listed."""
        return SealedTree(self.path, Seals.of_user())

    def make(self, fill: Callable[[Path], object], *, waiting: Callable[[], None] | None = None) -> Path:
        """Fill the folder if it is missing or damaged; return its path.

        Args:
            fill: fills an empty folder, which is renamed to the path if that succeeds.
            waiting: if given, one process at a time fills it; called before waiting for another one.

        Raises:
            IntegrityError: the folder that ``fill`` filled is damaged, too; or a file of a sealed folder was changed.
        """
        if self.is_usable:
            return self.path
        if waiting is not None:
            with exclusive(self.path.with_name(f"{self.path.name}.making"), waiting):
                return self.make(fill)
        with new_folder(self.path) as temporary:
            fill(temporary)
            if not _is_whole(temporary, self.holds):
                raise IntegrityError(
                    f"{self.path} was made anew, and it still lacks some of {', '.join(self.holds)}",
                    hint="try again; if that does not help, what it is made of has changed.",
                )
            _take_place(temporary, self)
        return self.path


def cached_folder(
    cache: Path,
    kind: CacheKind,
    inputs: str | Mapping[str, object],
    make: Callable[[Path], object],
    holds: Sequence[str],
) -> Path:
    """Return the folder of a cache for what is made of some inputs; make it if it is missing or damaged.

    Args: as of :meth:`CachedFolder.of` and :meth:`CachedFolder.make`, and so is what is raised.
    """
    return CachedFolder.of(cache, kind, inputs, holds).make(make)


def cached_path(cache: Path, kind: CacheKind, inputs: str | Mapping[str, object]) -> Path:
    """Return where a cache has what is made of some inputs: under their digest, or a name that stands for them."""
    return cache_path(cache, kind) / (inputs if isinstance(inputs, str) else digest_of(**inputs))


def cached_texts(folder: Path, texts: Mapping[str, str], programs: Collection[str] = ()) -> Path:
    """Return a folder of the cache with exactly these files; repair it if it differs.

    Args:
        texts: the content of each file, by name.
        programs: the names of the executable files.

    Raises:
        StorageError: a file cannot be written.
    """
    for name, text in texts.items():
        path, mode = folder / name, 0o755 if name in programs else 0o644
        if not _is_kept(path, text.encode(), mode):
            if path.is_dir() and not path.is_symlink():
                remove_tree(path)  # files are replaced atomically instead, as they may be in use
            with new_file(path, mode) as temporary:
                temporary.write_text(text)
    # Files whose names begin with a dot are temporary: another process may be writing them.
    for path in folder.iterdir():
        if path.name not in texts and not path.name.startswith("."):
            remove_tree(path)
    return folder


def _is_kept(path: Path, data: bytes, mode: int) -> bool:
    try:
        return (
            stat.S_IMODE(path.lstat().st_mode) == mode and path.read_bytes() == data and not path.is_symlink()
        )
    except (FileNotFoundError, IsADirectoryError):
        return False


def _is_whole(folder: Path, patterns: Sequence[str]) -> bool:
    return all(any(map(_has_content, folder.glob(pattern))) for pattern in patterns)


def _has_content(path: Path) -> bool:
    return path.is_dir() or (path.is_file() and path.stat().st_size > 0)


def _take_place(temporary: Path, kept: CachedFolder) -> None:
    """Rename a filled folder to its path, replacing a damaged one; if a whole one is there by now, that stays."""
    folder = kept.path
    # Only one thread of one process at a time, up to the rename, or a second one would discard the first one's folder.
    with _turn_at(folder.parent):
        if kept.is_usable:
            return
        remove_tree(folder)
        if kept.is_sealed:
            kept.tree.seal(temporary)
        temporary.rename(folder)


@contextlib.contextmanager
def _turn_at(folder: Path) -> Iterator[None]:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):  # some network file systems cannot lock folders
            fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)
