"""Files that are never half-written, and names made from what goes in."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from crosswheel.errors import StorageError


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def digest_of(**parts: object) -> str:
    """Name a step's output by its inputs: 20 hexadecimal digits over their canonical JSON."""
    text = json.dumps(parts, sort_keys=True, default=str, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:20]


@contextlib.contextmanager
def explained_storage_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals to write below ``path`` into :class:`StorageError`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageError(
                f"the disk is full: {error.filename or path} could not be written",
                hint=f"free some space on the file system of {path}, or point CROSSWHEEL_CACHE and the "
                "--*-tree-root options elsewhere, and run the same command again: "
                "it goes on where it stopped.",
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise StorageError(
                f"{error.filename or path} cannot be written: {error.strerror}",
                hint="choose folders you may write to with CROSSWHEEL_CACHE and the --*-tree-root options.",
            ) from error
        if error.errno in (errno.EEXIST, errno.ENOTDIR, errno.EISDIR):
            raise StorageError(
                f"{error.filename or path} is in the way: {path} cannot be written ({error.strerror})",
                hint="move it away, or choose other folders with CROSSWHEEL_CACHE and the --*-tree-root options.",
            ) from error
        raise


def write_text(path: Path, text: str) -> None:
    """Write a file as a whole or not at all: beside it first, then renamed over it."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file as a whole or not at all: beside it first, then renamed over it."""
    with new_file(path) as beside:
        beside.write_bytes(data)


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Give an empty file beside ``path`` that replaces ``path`` if the block ends well."""
    with explained_storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
        beside = Path(name)
        try:
            yield beside
            beside.chmod(0o644)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)


def place_copy(source: Path, destination: Path) -> None:
    """Put a copy of a file at ``destination``, as a whole or not at all; a hard link where possible."""
    with explained_storage_errors(destination):
        destination.parent.mkdir(parents=True, exist_ok=True)
        if destination.exists() and destination.samefile(source):
            return
        beside = destination.parent / f".{destination.name}.{os.getpid()}.{threading.get_ident()}"
        beside.unlink(missing_ok=True)
        try:
            try:
                beside.hardlink_to(source) if hasattr(beside, "hardlink_to") else os.link(source, beside)
            except OSError:
                shutil.copyfile(source, beside)
            beside.replace(destination)
        finally:
            beside.unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder beside ``path`` that becomes ``path`` if the block ends well.

    If another process made ``path`` meanwhile, that one stays: both were made from the same inputs.
    """
    with explained_storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        beside.chmod(0o755)
        try:
            yield beside
            try:
                beside.rename(path)
            except OSError:
                if not path.is_dir():
                    raise
        finally:
            shutil.rmtree(beside, ignore_errors=True)
