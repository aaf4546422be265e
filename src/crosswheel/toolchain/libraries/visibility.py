"""Static archives of which nothing is exported by what they are linked into.

That is what ``--exclude-libs`` is for, which zig's linker lacks.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from crosswheel.errors import IntegrityError

_MAGIC, _HEADER = b"!<arch>\n", 60
_SIZE = slice(48, 58)  # of a member, in its header, in decimal
_HIDDEN = 2  # STV_HIDDEN
_SHARED_BINDINGS = (1, 2)  # STB_GLOBAL, STB_WEAK
# By the class of an ELF object: how long a symbol is, and where in it are its binding, its visibility and its section.
_SYMBOL = {32: (16, 12, 13, 14), 64: (24, 4, 5, 6)}


def hidden_copy(archive: Path, copy: Path) -> None:
    """Write a copy of a static archive in which all that it defines is hidden (gABI, "Symbol Visibility").

    Raises:
        IntegrityError: it is no archive of ELF objects.
    """
    data = bytearray(archive.read_bytes())
    try:
        for begin, end in _members(data):
            if data[begin : begin + 4] == b"\x7fELF":
                _hide(data, begin, end)
    except (ELFError, ValueError, struct.error) as error:
        raise IntegrityError(
            f"{archive} cannot be read as a static archive: {error}",
            hint="remove its folder, and it is made anew.",
        ) from error
    copy.write_bytes(data)


def _members(data: bytearray) -> Iterator[tuple[int, int]]:
    if not data.startswith(_MAGIC):
        raise ValueError("it does not begin as one")
    at = len(_MAGIC)
    while at < len(data):
        begin = at + _HEADER
        end = begin + int(data[at:begin][_SIZE])
        yield begin, end
        at = end + end % 2


def _hide(data: bytearray, begin: int, end: int) -> None:
    """Hide what one object of an archive defines."""
    elf = ELFFile(io.BytesIO(data[begin:end]))
    size, binding, visibility, section = _SYMBOL[elf.elfclass]
    order = "<H" if elf.little_endian else ">H"
    for table in elf.iter_sections("SHT_SYMTAB"):
        first = begin + table["sh_offset"]
        for symbol in range(first, first + table["sh_size"], size):
            is_defined = struct.unpack_from(order, data, symbol + section)[0] != 0
            if is_defined and data[symbol + binding] >> 4 in _SHARED_BINDINGS:
                data[symbol + visibility] = data[symbol + visibility] & ~3 | _HIDDEN
