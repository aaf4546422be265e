"""Where an index is published to: a folder, S3 and what speaks its protocol, GCS, SFTP.

All that publishing asks of a store is that a file appears whole or not at all, and that one can be created
only if there is none of that name yet. Each store has its own way of doing so.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from crosswheel.errors import CrosswheelError, MissingToolError, StorageError, UsageError
from crosswheel.files import write_bytes

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

Content = bytes | Path
"""What is stored: bytes, or a file of this machine."""

_IMMUTABLE = "public, max-age=31536000, immutable"
_SHORT = "public, max-age=60"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".metadata": "text/plain; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".yanked": "text/plain; charset=utf-8",
}
_EXTRAS = {"s3": "s3", "gs": "gcs", "gcs": "gcs", "sftp": "sftp", "ssh": "sftp"}


class Store(ABC):
    """Files by path below a root. Every method raises :class:`StorageError` when the store fails.

    Attributes:
        url: the root, for people.
        parallel: how many files may be on their way at once.
    """

    url: str
    parallel: int = 16

    @abstractmethod
    def listing(self, folder: str) -> dict[str, str]:
        """Return the files below a folder, hidden ones apart: path to a mark that changes with the bytes."""

    @abstractmethod
    def read(self, path: str) -> bytes | None:
        """Return the bytes of a file, or ``None`` if there is none."""

    @abstractmethod
    def create(self, path: str, content: Content) -> bool:
        """Store a file that is never to change; return ``False``, and change nothing, if there is one."""

    @abstractmethod
    def write(self, path: str, content: bytes) -> None:
        """Store a file in place of the one that may be there."""

    @abstractmethod
    def remove(self, path: str) -> None:
        """Remove a file, if it is there, and the folders that nothing is left in."""

    def read_all(self, paths: Iterable[str]) -> dict[str, bytes]:
        """Return the bytes of those files that are there."""
        wanted = list(paths)
        with ThreadPoolExecutor(self.parallel) as pool:
            return {path: data for path, data in zip(wanted, pool.map(self.read, wanted)) if data is not None}

    def write_all(self, contents: Mapping[str, bytes]) -> None:
        """Store several files, in no particular order."""
        with ThreadPoolExecutor(self.parallel) as pool:
            list(pool.map(self.write, contents.keys(), contents.values()))

    def remove_all(self, paths: Iterable[str]) -> None:
        """Remove several files, in no particular order."""
        with ThreadPoolExecutor(self.parallel) as pool:
            list(pool.map(self.remove, paths))


def open_store(url: str) -> Store:
    """Return the store at a URL, such as ``s3://bucket/path``, ``gs://…``, ``sftp://…``, or a folder's path.

    Raises:
        MissingToolError: the store needs a library that is not installed.
        UsageError: there is no such kind of store.
        StorageError: it cannot be reached.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme == "file":
        return FolderStore(Path(rest if separator else url))
    import fsspec  # looks for its plugins among all that is installed, which takes a while

    try:
        if scheme in ("sftp", "ssh"):
            from crosswheel.publish.sftp import SftpStore  # its library is an extra

            return SftpStore(url)
        filesystem, root = fsspec.url_to_fs(url, use_listings_cache=False, skip_instance_cache=True)
    except ImportError as error:
        raise MissingToolError(
            f"publishing to {scheme}:// needs a library that is not installed",
            hint=f"pip install 'crosswheel[{_EXTRAS.get(scheme, scheme)}]'",
        ) from error
    except ValueError as error:
        raise UsageError(
            f"{url}: there is no such kind of store",
            hint="s3://bucket/path, gs://bucket/path, sftp://user@host/path, or the path of a folder.",
        ) from error
    return ObjectStore(url, filesystem, root)


def folders_above(path: str) -> Sequence[PurePosixPath]:
    """Return the folders that a file of a store lies in, the innermost first, and the root not among them."""
    return list(PurePosixPath(path).parents)[:-1]


class FolderStore(Store):
    """A folder of this machine, or one that is mounted here."""

    parallel = 4

    def __init__(self, root: Path) -> None:
        self.url = str(root)
        self._root = root

    def listing(self, folder: str) -> dict[str, str]:
        """See :meth:`Store.listing`."""
        marks = {}
        with explained(self.url):
            for path in (self._root / folder).rglob("*"):
                # A file beside another, on its way to take its name, may be gone by now.
                if not path.name.startswith(".") and path.is_file():
                    status = path.stat()
                    mark = f"{status.st_size}-{status.st_mtime_ns}-{status.st_ino}"
                    marks[path.relative_to(self._root).as_posix()] = mark
        return marks

    def read(self, path: str) -> bytes | None:
        """See :meth:`Store.read`."""
        with explained(self.url):
            try:
                return (self._root / path).read_bytes()
            except FileNotFoundError:
                return None

    def create(self, path: str, content: Content) -> bool:
        """See :meth:`Store.create`."""
        target = self._root / path
        beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        with explained(self.url):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                beside.write_bytes(content_bytes(content))
                os.link(beside, target)  # fails if there is one, and shows only whole files
            except FileExistsError:
                return False
            finally:
                beside.unlink(missing_ok=True)
        return True

    def write(self, path: str, content: bytes) -> None:
        """See :meth:`Store.write`."""
        with explained(self.url):
            write_bytes(self._root / path, content)

    def remove(self, path: str) -> None:
        """See :meth:`Store.remove`."""
        with explained(self.url):
            (self._root / path).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # the first that something is left in ends it
                for folder in folders_above(path):
                    (self._root / folder).rmdir()


class ObjectStore(Store):
    """S3 or GCS: an object appears whole, and can be created on the condition that there is none.

    Servers that speak S3's protocol but pass over that condition (``If-None-Match``) are protected only by
    looking first.
    """

    def __init__(self, url: str, filesystem: AbstractFileSystem, root: str) -> None:
        self.url = url.rstrip("/")
        self._fs = filesystem
        self._root = root.rstrip("/")

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}"

    def listing(self, folder: str) -> dict[str, str]:
        """See :meth:`Store.listing`."""
        with explained(self.url):
            self._fs.invalidate_cache()
            try:
                found = self._fs.find(self._full(folder), detail=True)
            except FileNotFoundError:
                return {}
        marks = {}
        for full, details in found.items():
            path = full[len(self._root) + 1 :]
            if not any(part.startswith(".") for part in path.split("/")):
                marks[path] = str([details.get(key) for key in ("size", "ETag", "generation", "mtime")])
        return marks

    def read(self, path: str) -> bytes | None:
        """See :meth:`Store.read`."""
        with explained(self.url):
            try:
                data: bytes = self._fs.cat_file(self._full(path))
            except FileNotFoundError:
                return None
            return data

    def remove(self, path: str) -> None:
        """See :meth:`Store.remove`."""
        with explained(self.url), contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(self._full(path))

    def create(self, path: str, content: Content) -> bool:
        """See :meth:`Store.create`."""
        with explained(self.url):
            try:
                self._fs.pipe_file(
                    self._full(path), content_bytes(content), mode="create", **self._headers(path)
                )
            except FileExistsError:
                return False
            except OSError as error:
                if "PreconditionFailed" not in str(error) and "ConditionalRequestConflict" not in str(error):
                    raise
                return False
        return True

    def write(self, path: str, content: bytes) -> None:
        """See :meth:`Store.write`."""
        with explained(self.url):
            self._fs.pipe_file(self._full(path), content, **self._headers(path))

    def _headers(self, path: str) -> dict[str, Any]:
        if "s3" in self._fs.protocol:
            return {"ContentType": content_type(path), "CacheControl": cache_control(path)}
        return {
            "content_type": content_type(path),
            "fixed_key_metadata": {"cache_control": cache_control(path)},
        }


def content_type(path: str) -> str:
    """Return the content type that a file is to be served with."""
    if path.startswith("simple/") and path.endswith("index.json"):
        return "application/vnd.pypi.simple.v1+json"
    return _TYPES.get(PurePosixPath(path).suffix, "application/octet-stream")


def cache_control(path: str) -> str:
    """Return how long clients may keep a file: what belongs to a wheel for ever, pages for a minute."""
    return _IMMUTABLE if ".whl" in path and not path.endswith(".yanked") else _SHORT


def content_bytes(content: Content) -> bytes:
    """Return what is to be stored."""
    return content if isinstance(content, bytes) else content.read_bytes()


@contextlib.contextmanager
def explained(url: str) -> Iterator[None]:
    """Turn whatever a store's library raises into :class:`StorageError`."""
    try:
        yield
    except CrosswheelError:
        raise
    # Every store's library has errors of its own, and several of them share no base but this.
    except Exception as error:
        raise StorageError(
            f"{url}: {error or type(error).__name__}",
            hint="check the address, the credentials and what they allow (list, read, write), and the network; "
            "then publish again: it goes on where it stopped.",
        ) from error
