"""Changes the file system in atomic steps."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from crosswheel.agent.manifest import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable

READABLE, EXECUTABLE = 0o444, 0o555  # never writable, as other releases share the file


def write_shared(path: str, sha256: str, executable: bool, blocks: Iterable[bytes | memoryview]) -> None:
    """Write a read-only file, and rename it to its path after comparing its hash.

    Raises:
        Refused: the hash differs.
    """
    # Without pathlib and buffers, as it is called thousands of times on a slow machine.
    digest, mode = hashlib.sha256(), EXECUTABLE if executable else READABLE
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        for block in blocks:
            digest.update(block)
            unwritten = memoryview(block)
            while unwritten:  # os.write writes only a part when the disk is nearly full
                unwritten = unwritten[os.write(handle, unwritten) :]
    finally:
        os.close(handle)
    if digest.hexdigest() != sha256:
        os.unlink(path)
        raise Refused("damaged", f"a file came with the hash {digest.hexdigest()} instead of {sha256}")


def copy(path: str, copied: str) -> None:
    """Copy a shared, read-only file to a writable one."""
    handle = os.open(copied, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644 | (os.stat(path).st_mode & 0o111))
    with open(path, "rb", buffering=0) as source, open(handle, "wb") as sink:
        for block in iter(lambda: source.read(1 << 20), b""):
            sink.write(block)


def replace_link(destination: Path, link: Path) -> None:
    """Create or replace a symbolic link atomically."""
    link.parent.mkdir(parents=True, exist_ok=True)
    temporary = link.parent / f".{link.name}.new"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(destination)
    temporary.replace(link)


def replace_text(path: Path, text: str, mode: int) -> None:
    """Write a small file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.new"
    temporary.unlink(missing_ok=True)
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as sink:
        sink.write(text)  # readable by nobody else until its mode is set
    temporary.chmod(mode)
    temporary.replace(path)


def make_folders(root: str, folders: Iterable[str]) -> None:
    """Make ``root`` and folders below it, with their parents, unless they exist."""
    needed = {""}
    for folder in folders:
        while folder not in needed:
            needed.add(folder)
            folder = folder.rpartition("/")[0]
    os.makedirs(root, exist_ok=True)
    for folder in sorted(needed - {""}):  # parents first
        try:
            os.mkdir(f"{root}/{folder}")
        except FileExistsError:
            continue


def remove_tree(folder: Path, *, ignore_errors: bool = False) -> None:
    """Remove a folder with all its content, if it exists."""
    if os.path.lexists(folder):
        import shutil  # here, as robots load it slowly

        shutil.rmtree(folder, ignore_errors=ignore_errors)


def sync(folder: Path) -> None:
    """Flush all pending writes of the file system of ``folder`` to the disk."""
    import ctypes

    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(handle) != 0:
            raise OSError(ctypes.get_errno(), "syncfs", str(folder))
    finally:
        os.close(handle)


def sha256_of(path: str) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def require_space(folder: Path, need: int, reserve: int) -> None:
    """Raise :class:`Refused` if the file system of ``folder`` has too little space; the folder need not exist yet."""
    disk = existing(folder)
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    if need + reserve > free:
        raise Refused(
            "no-space",
            f"it needs {_megabytes(need)} and {_megabytes(reserve)} have to stay free, but {folder} has "
            f"{_megabytes(free)}",
        )


def existing(folder: Path) -> Path:
    """Return the folder, or its nearest parent that exists."""
    return next(path for path in (folder, *folder.parents) if path.is_dir())


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
