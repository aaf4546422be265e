"""Bytes by name: what every store can do."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from crosswheel.errors import CrosswheelError, StorageError

Content = bytes | Path
"""What is stored: bytes, or a file of this machine."""


class Stored(NamedTuple):
    """What a store tells of a file without reading it."""

    size: int
    mark: str
    """Changes with the bytes."""


class Store(ABC):
    """Files by path below a root. Every method raises :class:`StorageError` when the store fails.

    Attributes:
        url: the root, for people.
        parallel: how many files may be on their way at once.
    """

    url: str
    parallel: int = 16

    @abstractmethod
    def listing(self, folder: str) -> dict[str, Stored]:
        """Return what is known of the files below a folder, hidden ones apart, by their paths."""

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
    """Return the folders that a file of a store lies in, the innermost first, and the root not among them."""
    return list(PurePosixPath(path).parents)[:-1]


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
