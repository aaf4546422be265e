"""Where a machine's files are learned from: what any such source answers."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Literal, Protocol

from crosswheel.errors import CrosswheelError
from crosswheel.userlands import Readable

try:
    from lzma import LZMAError
except ImportError:  # a Python built without liblzma; tarfile then says so itself when it meets a .tar.xz
    LZMAError = tarfile.CompressionError  # type: ignore[misc,assignment]

DAMAGE = (EOFError, OSError, KeyError, tarfile.TarError, zlib.error, LZMAError)
"""What reading an archive raises where it is not whole."""


@dataclass(frozen=True)
class Listed:
    """What a source tells of one path without reading the file.

    Attributes:
        kind: ``other`` is a device, a pipe or a socket.
        link: where a symbolic link leads, as it is written.
        sha256: of a file's bytes, where the source knows it.
    """

    kind: Literal["file", "folder", "link", "other"]
    size: int = 0
    executable: bool = False
    link: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class FileStream:
    """A file's content, whose errors are told as its source's."""

    stream: IO[bytes]
    explain: Callable[[Exception], CrosswheelError]

    def read(self, size: int = -1, /) -> bytes:
        """Return so many bytes, fewer at its end.

        Raises:
            CrosswheelError: they cannot be read, as the source explains it.
        """
        try:
            return self.stream.read(size)
        except DAMAGE as error:
            raise self.explain(error) from error


class Source(Protocol):
    """A machine's file system; paths are absolute, as on the machine."""

    @property
    def title(self) -> str:
        """What it is, for people."""

    def listing(self) -> Mapping[str, Listed]:
        """Return what is there, by path.

        Raises:
            IntegrityError: it cannot be read, or not all of it is there.
        """

    def files(self, paths: Collection[str]) -> Iterator[tuple[str, Readable]]:
        """Yield files with their content, in any order; a stream is read before the next one is asked for.

        Raises:
            IntegrityError, NetworkError: not all of them can be read.
        """
