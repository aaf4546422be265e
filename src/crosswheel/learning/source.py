"""Where a machine's files are learned from: what any such source answers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Literal, Protocol


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

    def files(self, paths: Collection[str]) -> Iterator[tuple[str, IO[bytes]]]:
        """Yield files with their content, in any order; a stream is read before the next one is asked for.

        Raises:
            IntegrityError, NetworkError: not all of them can be read.
        """
