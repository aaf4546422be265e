"""List the members of static archives (ar(5), in GNU's and LLVM's format)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_MAGIC = b"!<arch>\n"
_HEADER = 60


def archive_members(path: Path) -> list[str]:
    """Return the names of an archive's members, in order; none if it is not an archive."""
    with path.open("rb") as stream:
        if stream.read(len(_MAGIC)) != _MAGIC:
            return []
        data = stream.read()
    return list(_names(data))


def _names(data: bytes) -> Iterator[str]:
    long_names, at = b"", 0
    while at + _HEADER <= len(data):
        header = data[at : at + _HEADER]
        name, size = header[:16].rstrip(), int(header[48:58])
        begin, at = at + _HEADER, at + _HEADER + size + size % 2
        if name == b"//":
            long_names = data[begin : begin + size]
        elif name.startswith(b"/") and name[1:].isdigit():
            yield long_names[int(name[1:]) :].split(b"/\n", 1)[0].decode(errors="replace")
        elif name not in (b"/", b"/SYM64/"):
            yield name.rstrip(b"/").decode(errors="replace")
