"""Define the interface of a source of a machine's files."""

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
"""The exceptions that reading an incomplete archive raises."""


@dataclass(frozen=True)
class Listed:
    """What a source knows about one path without reading the file.

    Attributes:
        kind: ``other`` is a device, a pipe or a socket.
        link: the text of a symbolic link.
        sha256: the hash of a file's bytes, if the source knows it.
    """

    kind: Literal["file", "folder", "link", "other"]
    size: int = 0
    executable: bool = False
    link: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class FileStream:
    """A file's content; it raises errors in terms of its source."""

    stream: IO[bytes]
    explain: Callable[[Exception], CrosswheelError]

    def read(self, size: int = -1, /) -> bytes:
        """Return this many bytes, fewer at the end.

        Raises:
            CrosswheelError: the source cannot read them.
        """
        try:
            return self.stream.read(size)
        except DAMAGE as error:
            raise self.explain(error) from error


class Source(Protocol):
    """A machine's file system; paths are absolute, as on the machine."""

    @property
    def title(self) -> str:
        """A description of the source, for messages."""

    def listing(self) -> Mapping[str, Listed]:
        """Return all files and links, by path.

        Raises:
            IntegrityError: it cannot be read, or is incomplete.
        """

    def files(self, paths: Collection[str]) -> Iterator[tuple[str, Readable]]:
        """Yield files with their content, in any order; read a stream before you take the next one.

        Raises:
            IntegrityError, NetworkError: a file cannot be read.
        """
