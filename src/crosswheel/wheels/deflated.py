"""Finds files in a wheel as they are deflated there, so that another wheel has them without the same work again."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_LENGTHS_AT = 26  # in a member's local header: two bytes each for its name and its extra field, which follow
_ENCRYPTED = 0x1


@contextmanager
def deflated_in(wheel: Path) -> Iterator[Callable[[bytes], bytes | None]]:
    """Yield a function that returns a file's content as the wheel has it deflated, or ``None``.

    It goes by CRC and size, as a file may have another path where it is installed. Different contents can agree in
    both, so its answer is a guess: :func:`~crosswheel.wheels.writing.add_member` takes what inflates to the content.
    """
    with wheel.open("rb") as file, zipfile.ZipFile(file) as archive:
        members = {
            (member.CRC, member.file_size): member
            for member in archive.infolist()
            if member.compress_type == zipfile.ZIP_DEFLATED and not member.flag_bits & _ENCRYPTED
        }

        def deflated(data: bytes) -> bytes | None:
            member = members.get((zlib.crc32(data), len(data)))
            if member is None:
                return None
            file.seek(member.header_offset + _LENGTHS_AT)
            name, extra = (int.from_bytes(file.read(2), "little") for _ in range(2))
            file.seek(name + extra, os.SEEK_CUR)
            return file.read(member.compress_size)

        yield deflated
