"""Define the interface of a store."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from crosswheel.errors import CrosswheelError, StorageError

Content = bytes | Path
"""The bytes to store, or a file of this machine."""


class Stored(NamedTuple):
    """The facts about a stored file that are available without reading it."""

    size: int
    mark: str
    """Changes when the bytes change."""


class Store(ABC):
    """Files by path below a root. Every method raises :class:`StorageError` when the store fails.

    Attributes:
        url: the root's URL, for messages.
        parallel: the maximum number of concurrent transfers.
    """

    url: str
    parallel: int = 16

    @abstractmethod
    def listing(self, folder: str) -> dict[str, Stored]:
        """Return the files below a folder, without hidden ones, by their paths."""

    @abstractmethod
    def read(self, path: str) -> bytes | None:
        """Return the bytes of a file, or ``None`` if there is none."""

    @abstractmethod
    def create(self, path: str, content: Content) -> bool:
        """Store a file that never changes afterwards; return ``False``, and change nothing, if the name is taken."""

    @abstractmethod
    def write(self, path: str, content: bytes) -> None:
        """Store a file; replace an existing one."""

    @abstractmethod
    def remove(self, path: str) -> None:
        """Remove a file, if it exists, and folders that become empty."""

    def read_all(self, paths: Iterable[str]) -> dict[str, bytes]:
        """Return the bytes of those files that exist."""
        selected = list(paths)
        with ThreadPoolExecutor(self.parallel) as pool:
            return {
                path: data for path, data in zip(selected, pool.map(self.read, selected)) if data is not None
            }

    def write_all(self, contents: Mapping[str, bytes]) -> None:
        """Store several files, in no particular order."""
        with ThreadPoolExecutor(self.parallel) as pool:
            list(pool.map(self.write, contents.keys(), contents.values()))

    def remove_all(self, paths: Iterable[str]) -> None:
        """Remove several files, in no particular order."""
        with ThreadPoolExecutor(self.parallel) as pool:
            list(pool.map(self.remove, paths))


def folders_above(path: str) -> Sequence[PurePosixPath]:
    """Return the folders above a file of a store, the innermost first, without the root."""
    return list(PurePosixPath(path).parents)[:-1]


def content_bytes(content: Content) -> bytes:
    """Return the bytes to store."""
    return content if isinstance(content, bytes) else content.read_bytes()


@contextlib.contextmanager
def explained(url: str) -> Iterator[None]:
    """Convert every exception of a store's library to :class:`StorageError`."""
    try:
        yield
    except CrosswheelError:
        raise
    # Each store's library has its own exceptions, and some share only this base class.
    except Exception as error:
        raise StorageError(
            f"{url}: {error or type(error).__name__}",
            hint="check the address, the credentials and what they allow (list, read, write), and the network; "
            "then publish again: it goes on where it stopped.",
        ) from error
