"""Files that are never half-written, and names made from what goes in."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from crosswheel.errors import IntegrityError, StorageError

# What a disk that fails and a network folder whose server is gone say.
_GONE = (errno.EIO, errno.ENODEV, errno.ENOTCONN, errno.ESTALE, errno.ETIMEDOUT)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return sha256_of_stream(stream)


def sha256_of_stream(stream: IO[bytes]) -> str:
    """Return the SHA-256 of what is left to be read, in hexadecimal."""
    digest = hashlib.sha256()
    for block in iter(lambda: stream.read(1 << 20), b""):
        digest.update(block)
    return digest.hexdigest()


def digest_of(**parts: object) -> str:
    """Name a step's output by its inputs: 20 hexadecimal digits over their canonical JSON."""
    return full_digest_of(**parts)[:20]


def full_digest_of(**parts: object) -> str:
    """Return the SHA-256 over the canonical JSON of a step's inputs: for names that others may try to forge."""
    text = json.dumps(parts, sort_keys=True, default=str, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


@contextlib.contextmanager
def explained_storage_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals to write below ``path``, or to read for it, into :class:`StorageError`."""
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
    """Make a folder that everyone may read, and those above it that are missing, whatever the umask is."""
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


@contextlib.contextmanager
def new_file(path: Path, mode: int | None = 0o644) -> Iterator[Path]:
    """Yield a path beside ``path``: what the block makes there replaces ``path`` if it ends well.

    Args:
        mode: its permissions; as the block left them, if ``None``.
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
    """Put a copy of a file at ``destination``, as a whole or not at all; it shares no bytes with the original."""
    with new_file(destination) as temporary:
        shutil.copyfile(source, temporary)


def place_link(source: Path, destination: Path) -> None:
    """Put a file at ``destination`` as well, as a whole or not at all: a hard link, or a copy where none can be."""
    source = source.resolve() if source.is_symlink() else source  # a link to it would be a copy of the link
    with explained_storage_errors(destination):
        with contextlib.suppress(OSError):
            os.link(source, destination)  # whole at once, where nothing is in the way
            return
        destination.parent.mkdir(parents=True, exist_ok=True)
        if destination.exists() and destination.samefile(source):
            return
        temporary = _temporary_path(destination)
        try:
            try:
                os.link(source, temporary)
            except OSError:
                shutil.copyfile(source, temporary)
            temporary.replace(destination)
        finally:
            temporary.unlink(missing_ok=True)


def write_sealed(path: Path, text: str) -> None:
    """Write a text behind its own hash, as a whole or not at all, so that :func:`read_sealed` notices damage."""
    write_text(path, f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}")


def read_sealed(path: Path) -> str | None:
    """Return what :func:`write_sealed` wrote; ``None`` if it is not there, or not what was written."""
    try:
        seal, _, text = path.read_bytes().partition(b"\n")
    except FileNotFoundError:
        return None
    return text.decode() if hashlib.sha256(text).hexdigest().encode() == seal else None


def remove_tree(folder: Path) -> None:
    """Remove a folder and all below it, or a file, if it is there; also where somebody still writes into it.

    Raises:
        StorageError: it cannot be moved aside.
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
        if aside.exists():  # folders that nobody may write to, as some builds leave them
            for parent, _, _ in os.walk(aside):
                with contextlib.suppress(OSError):  # gone meanwhile
                    Path(parent).chmod(0o700)
            shutil.rmtree(aside, ignore_errors=True)


@contextlib.contextmanager
def exclusive(folder: Path, waiting: Callable[[], None]) -> Iterator[bool]:
    """Make a folder and lock it while the block lasts; the kernel frees the lock if this process dies.

    Yields ``True`` if the lock was free: what this process read of the folder beforehand still holds then. Removes the
    folder if it is empty at the end.

    Args:
        folder: the folder.
        waiting: called when another process has it, and is waited for.
    """
    lock = folder / ".lock"
    stream, at_once = _locked(lock, waiting)
    with stream:
        try:
            yield at_once
        finally:
            if list(folder.iterdir()) == [lock]:
                lock.unlink()
                with contextlib.suppress(OSError):  # another process came meanwhile
                    folder.rmdir()


def _locked(lock: Path, waiting: Callable[[], None]) -> tuple[IO[str], bool]:
    """Return an open file that is locked until it is closed, and whether it was free at once."""
    at_once = True
    while True:
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            if os.path.lexists(lock.parent) and not lock.parent.is_dir():
                raise
            continue  # who had it before removed the folder while it was looked at
        try:
            stream = lock.open("a")
        except FileNotFoundError:  # who had it before removed the folder
            continue
        # Of this process alone: those that it forks, and that may outlive it, do not hold it.
        try:
            fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            at_once = False
            waiting()
            fcntl.lockf(stream, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(stream.fileno()), lock.stat()):
                return stream, at_once
        stream.close()  # it was removed while this one waited; others lock the one that has its name now


def _temporary_path(path: Path) -> Path:
    """Return a path for a file that is on its way to ``path``; nobody else has it."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}")


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``path`` that becomes ``path`` if the block ends well.

    If another process made ``path`` meanwhile, that one stays: both were made from the same inputs.
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


def cached_folder(folder: Path, patterns: Sequence[str], fill: Callable[[Path], object]) -> Path:
    """Return a folder of the cache; fill it where it is missing, and anew where it is damaged.

    Args:
        patterns: what the folder is used for, as patterns of paths in it (:meth:`Path.glob`). Each must lead to a
            folder, or to a file that is not empty.
        fill: fills an empty folder, which becomes ``folder`` if that ends well.

    Raises:
        IntegrityError: what ``fill`` made is not whole either.
    """
    if is_whole(folder, patterns):
        return folder
    with new_folder(folder) as temporary:
        fill(temporary)
        if not is_whole(temporary, patterns):
            raise IntegrityError(
                f"{folder} was made anew, and it still lacks some of {', '.join(patterns)}",
                hint="try again; if that does not help, what it is made of has changed.",
            )
        _take_place(temporary, folder, patterns)
    return folder


def cached_texts(folder: Path, texts: Mapping[str, str], programs: Collection[str] = ()) -> Path:
    """Return a folder of the cache that holds these texts and nothing else, whatever was in it before.

    Args:
        texts: what the files hold, by their names.
        programs: the names of those that can be run.

    Raises:
        StorageError: they cannot be written.
    """
    for name, text in texts.items():
        path, mode = folder / name, 0o755 if name in programs else 0o644
        if not _is_kept(path, text.encode(), mode):
            if path.is_dir() and not path.is_symlink():
                remove_tree(path)  # a file is replaced in one step, so that nobody who uses it misses it
            with new_file(path, mode) as temporary:
                temporary.write_text(text)
    # Another process may be about to write one: the names of files on their way begin with a dot.
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


def is_whole(folder: Path, patterns: Sequence[str]) -> bool:
    """Return whether a folder has in it what :func:`cached_folder` asks for."""
    return all(any(map(_has_content, folder.glob(pattern))) for pattern in patterns)


def _has_content(path: Path) -> bool:
    return path.is_dir() or (path.is_file() and path.stat().st_size > 0)


def _take_place(temporary: Path, folder: Path, patterns: Sequence[str]) -> None:
    """Rename a filled folder to its path, in place of a damaged one; one that is whole by now stays."""
    # One at a time, threads as well as processes, up to the rename: a second one would discard what the first has made.
    with _turn_at(folder.parent):
        if is_whole(folder, patterns):
            return
        if folder.is_symlink() or folder.is_file():
            folder.unlink()
        elif folder.is_dir():
            aside = _temporary_path(folder)
            folder.rename(aside)
            shutil.rmtree(aside)
        temporary.rename(folder)


@contextlib.contextmanager
def _turn_at(folder: Path) -> Iterator[None]:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):  # some network folders do not lock folders
            fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)
