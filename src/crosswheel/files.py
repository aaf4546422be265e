"""Writes whole files or none, and computes digests of inputs."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from crosswheel.errors import StorageError

# The errors of a failing disk, and of a network folder whose server is gone.
_GONE = (errno.EIO, errno.ENODEV, errno.ENOTCONN, errno.ESTALE, errno.ETIMEDOUT)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return sha256_of_stream(stream)


def sha256_of_stream(stream: IO[bytes]) -> str:
    """Return the SHA-256 of a stream's remaining bytes, in hexadecimal."""
    digest = hashlib.sha256()
    for block in iter(lambda: stream.read(1 << 20), b""):
        digest.update(block)
    return digest.hexdigest()


def digest_of(**parts: object) -> str:
    """Return a digest of a step's inputs, which names its output: 20 hexadecimal digits over their canonical JSON."""
    return full_digest_of(**parts)[:20]


def full_digest_of(**parts: object) -> str:
    """Return the whole SHA-256 over the canonical JSON of a step's inputs, for names that others may try to forge."""
    text = json.dumps(parts, sort_keys=True, default=str, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


@contextlib.contextmanager
def explained_storage_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's errors of writing below ``path``, or reading for it, into :class:`StorageError`."""
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
            raise _refused(error, path) from error
        if error.errno in (errno.EEXIST, errno.ENOTDIR, errno.EISDIR):
            raise StorageError(
                f"{error.filename or path} is in the way: {path} cannot be written ({error.strerror})",
                hint="move it away, or choose other folders with CROSSWHEEL_CACHE and the --*-tree-root options.",
            ) from error
        if error.errno in _GONE:
            raise StorageError(
                f"{error.filename or path} cannot be reached any more: {error.strerror}",
                hint=f"see whether the disk or the network folder of {path} is there and sound, and run the same "
                "command again: it goes on where it stopped.",
            ) from error
        raise


def _refused(error: OSError, path: Path) -> StorageError:
    name = Path(error.filename or path)
    if name.exists() and not os.access(name, os.R_OK):
        return StorageError(
            f"{name} cannot be read: {error.strerror}",
            hint="give the user who runs this the right to read it, or move it away.",
        )
    return StorageError(
        f"{name} cannot be written: {error.strerror}",
        hint="choose folders you may write to with CROSSWHEEL_CACHE and the --*-tree-root options.",
    )


def make_folder(path: Path) -> None:
    """Make a folder that everyone may read, and its missing parents, whatever the umask is."""
    if path.is_dir():
        return
    make_folder(path.parent)
    try:
        path.mkdir()
    except FileExistsError:  # another process made it meanwhile
        if not path.is_dir():
            raise
    else:
        path.chmod(0o755)


def write_text(path: Path, text: str) -> None:
    """Write a file as a whole or not at all: beside it first, then renamed over it."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file as a whole or not at all: beside it first, then renamed over it."""
    with new_file(path) as temporary:
        temporary.write_bytes(data)


def update_bytes(path: Path, data: bytes) -> None:
    """Write a file as :func:`write_bytes` does; leave it alone if it has these contents already.

    What reads a tree tells by their times which files are new.
    """
    with contextlib.suppress(FileNotFoundError):
        if path.read_bytes() == data:
            return
    write_bytes(path, data)


@contextlib.contextmanager
def new_file(path: Path, mode: int | None = 0o644) -> Iterator[Path]:
    """Yield a temporary path for the block to write, which replaces ``path`` if the block succeeds.

    Args:
        mode: the permissions; if ``None``, those that the block has set.
    """
    with explained_storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _temporary_path(path)
        try:
            yield temporary
            if mode is not None:
                temporary.chmod(mode)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def place_copy(source: Path, destination: Path) -> None:
    """Copy a file to ``destination`` atomically; the copy shares no bytes with the original."""
    with new_file(destination) as temporary:
        shutil.copyfile(source, temporary)


def place_link(source: Path, destination: Path) -> None:
    """Put a hard link to a file at ``destination`` atomically; where no link is possible, a copy of the same mode."""
    source = source.resolve() if source.is_symlink() else source  # a hard link would be to the symbolic link
    with explained_storage_errors(destination):
        with contextlib.suppress(OSError):
            os.link(source, destination)  # atomic by itself if the path is free
            return
        destination.parent.mkdir(parents=True, exist_ok=True)
        if destination.exists() and destination.samefile(source):
            return
        temporary = _temporary_path(destination)
        try:
            try:
                os.link(source, temporary)
            except OSError:
                shutil.copy(source, temporary)
            temporary.replace(destination)
        finally:
            temporary.unlink(missing_ok=True)


def write_sealed(path: Path, text: str) -> None:
    """Write a text after its hash, atomically, so that :func:`read_sealed` notices damage."""
    write_text(path, f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}")


def read_sealed(path: Path) -> str | None:
    """Return the text that :func:`write_sealed` wrote; ``None`` if the file is missing or was changed."""
    try:
        seal, _, text = path.read_bytes().partition(b"\n")
    except FileNotFoundError:
        return None
    return text.decode() if hashlib.sha256(text).hexdigest().encode() == seal else None


def remove_tree(folder: Path) -> None:
    """Remove a folder with all its content, or a file, if it exists, even while another process writes into it.

    Raises:
        StorageError: it cannot be renamed.
    """
    aside = _temporary_path(folder)
    with explained_storage_errors(folder):
        try:
            folder.rename(aside)
        except FileNotFoundError:
            return
        if aside.is_symlink() or not aside.is_dir():
            aside.unlink()
            return
        shutil.rmtree(aside, ignore_errors=True)
        if aside.exists():  # some builds leave folders that are not writable
            for parent, _, _ in os.walk(aside):
                with contextlib.suppress(OSError):  # removed meanwhile
                    Path(parent).chmod(0o700)
            shutil.rmtree(aside, ignore_errors=True)


@contextlib.contextmanager
def exclusive(folder: Path, waiting: Callable[[], None]) -> Iterator[bool]:
    """Make a folder and lock it during the block; the kernel releases the lock if this process dies.

    Yields ``True`` if the lock was free, so that what this process read of the folder before is still valid. Removes
    the folder if it is empty at the end.

    Args:
        folder: the folder.
        waiting: called if another process holds the lock, before waiting for it.
    """
    lock = folder / ".lock"
    stream, at_once = _locked(lock, waiting)
    with stream:
        try:
            yield at_once
        finally:
            if list(folder.iterdir()) == [lock]:
                lock.unlink()
                with contextlib.suppress(OSError):  # another process uses it again
                    folder.rmdir()


def _locked(lock: Path, waiting: Callable[[], None]) -> tuple[IO[str], bool]:
    """Return an open file that is locked until it is closed, and whether the lock was free at once."""
    at_once = True
    while True:
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            if os.path.lexists(lock.parent) and not lock.parent.is_dir():
                raise
            continue  # the previous holder removed the folder meanwhile
        try:
            stream = lock.open("a")
        except FileNotFoundError:  # the previous holder removed the folder
            continue
        # A lock of this process alone, which forked processes that may outlive it do not hold.
        try:
            fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            at_once = False
            waiting()
            fcntl.lockf(stream, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(stream.fileno()), lock.stat()):
                return stream, at_once
        stream.close()  # the file was removed during the wait, and others lock the new one of its name


def _temporary_path(path: Path) -> Path:
    """Return a unique temporary path beside ``path``."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}")


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder, which is renamed to ``path`` if the block succeeds.

    If another process made ``path`` meanwhile, that one stays, as both have the same inputs.
    """
    with explained_storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        temporary.chmod(0o755)
        try:
            yield temporary
            try:
                temporary.rename(path)
            except OSError:
                if not path.is_dir():
                    raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
