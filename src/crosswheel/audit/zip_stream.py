"""The members of a zip archive, one after the other, from its first byte on: no list of them is kept (APPNOTE.TXT).

:mod:`zipfile` reads the list at the end of an archive into memory first, which takes hundreds of megabytes for an
export of OSV with a million advisories.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import IO, NoReturn

from crosswheel.errors import IntegrityError

_LOCAL = struct.Struct("<4s5H3I2H")
_DESCRIPTOR = struct.Struct("<4s3I")
_STORED, _DEFLATED = 0, 8
_ENCRYPTED, _SIZES_FOLLOW = 1, 1 << 3
_BLOCK = 1 << 16


def zip_members(stream: IO[bytes], title: str, largest: int) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the bytes of each member.

    Args:
        title: what the archive is, for errors.
        largest: how many bytes a member may have: a bomb is refused before it is unpacked.

    Raises:
        IntegrityError: the archive is truncated, damaged or encrypted, or a member is larger.
    """
    archive = _Archive(stream, title, largest)
    while True:
        signature = archive.take(4)
        if signature in (b"PK\1\2", b"PK\5\6", b"PK\6\6"):  # the list of members, or the end of it
            archive.require_end()
            return
        if signature != b"PK\3\4":
            archive.refuse("it is truncated or damaged")
        yield archive.member()


class _Archive:
    """A stream of which bytes can be given back."""

    def __init__(self, stream: IO[bytes], title: str, largest: int) -> None:
        self.stream, self.title, self.largest = stream, title, largest
        self.ahead = b""

    def refuse(self, reason: str) -> NoReturn:
        raise IntegrityError(f"{self.title} cannot be read: {reason}", hint="fetch it again.")

    def take(self, count: int) -> bytes:
        while len(self.ahead) < count:
            block = self.stream.read(max(_BLOCK, count - len(self.ahead)))
            if not block:
                self.refuse("it is truncated")
            self.ahead += block
        data, self.ahead = self.ahead[:count], self.ahead[count:]
        return data

    def require_end(self) -> None:
        """Refuse an archive without its last record: it is truncated, although all that was read is whole."""
        tail = self.ahead
        while block := self.stream.read(_BLOCK):
            tail = tail[-(1 << 16) - 22 :] + block
        if b"PK\5\6" not in tail and len(tail) != 18:
            self.refuse("it is truncated")

    def member(self) -> tuple[str, bytes]:
        fields = _LOCAL.unpack(b"PK\3\4" + self.take(_LOCAL.size - 4))
        _, _, flags, method, _, _, crc, packed, size, name_length, extra_length = fields
        name = self.take(name_length).decode(errors="replace")
        self.take(extra_length)
        if flags & _ENCRYPTED:
            self.refuse(f"{name[:80]!r} is encrypted")
        if size > self.largest and not flags & _SIZES_FOLLOW:
            self.refuse(f"{name[:80]!r} would be {size >> 20} MiB large")
        if method == _DEFLATED:
            data = self._inflated(name)
        elif method == _STORED and not flags & _SIZES_FOLLOW:
            data = self.take(packed)
        else:
            self.refuse(f"{name[:80]!r} is packed in a way that is not known here")
        if flags & _SIZES_FOLLOW:
            _, crc, _, size = _DESCRIPTOR.unpack(self.take(_DESCRIPTOR.size))
        if len(data) != size or zlib.crc32(data) != crc:
            self.refuse(f"{name[:80]!r} is damaged")
        return name, data

    def _inflated(self, name: str) -> bytes:
        inflate, data = zlib.decompressobj(-zlib.MAX_WBITS), bytearray()
        try:
            while not inflate.eof:
                block = inflate.unconsumed_tail
                if not block:
                    block = self.take(1) + self.ahead
                    self.ahead = b""
                data += inflate.decompress(block, self.largest + 1 - len(data))
                if len(data) > self.largest:
                    self.refuse(f"{name[:80]!r} would be more than {self.largest >> 20} MiB large")
        except zlib.error as error:
            self.refuse(f"{name[:80]!r} is damaged: {error}")
        self.ahead = inflate.unused_data + self.ahead
        return bytes(data)
