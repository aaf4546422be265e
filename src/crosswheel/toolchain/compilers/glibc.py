"""List the symbols of each version of glibc, from the lists that zig makes its link stubs from.

The reader in zig's source documents the format (``glibc.zig``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from crosswheel.errors import ToolchainError

_LISTS = Path("lib", "libc", "glibc", "abilists")
_LAST = 0x80  # marks the last of a symbol's inclusions, and the last version of an inclusion
_LIBRARY = 0x1F  # the rest of the byte are flags


@dataclass(frozen=True)
class GlibcSymbol:
    """A symbol of a glibc library, and its versions there.

    Attributes:
        library: the linker's name of the library: ``c``, ``m``, ``pthread``; ``ld`` is the dynamic loader.
        versions: such as ``2.4`` and ``2.17``, the oldest first.
    """

    name: str
    library: str
    versions: tuple[str, ...]


def glibc_symbols(zig: Path, triple: str) -> tuple[GlibcSymbol, ...]:
    """Return the symbols of all glibc versions on an architecture; none if zig does not know the architecture.

    Args:
        zig: zig's folder.
        triple: zig's target, without a version: ``arm-linux-gnueabihf``.

    Raises:
        ToolchainError: the lists are missing, or in an unknown format.
    """
    try:
        return tuple(_symbols(_Reader((zig / _LISTS).read_bytes()), triple))
    except (OSError, IndexError, ValueError) as error:
        raise ToolchainError(
            f"zig's lists of glibc's symbols cannot be read: {error}",
            hint="install crosswheel's requirements again: they name the version of ziglang that it knows.",
        ) from error


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def ended(self) -> bool:
        return self._at == len(self._data)

    def byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def word(self) -> int:
        return self.byte() | self.byte() << 8

    def text(self) -> str:
        end = self._data.index(0, self._at)
        decoded = self._data[self._at : end].decode()
        self._at = end + 1
        return decoded

    def leb128(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < _LAST:
                return value
            shift += 7

    def marked(self) -> Iterator[int]:
        """Yield bytes up to the one that is marked as the last."""
        while True:
            byte = self.byte()
            yield byte & ~_LAST
            if byte & _LAST:
                return


def _symbols(lists: _Reader, triple: str) -> Iterator[GlibcSymbol]:
    libraries = [lists.text() for _ in range(lists.byte())]
    versions = [_version(lists) for _ in range(lists.byte())]
    targets = {lists.text(): number for number in range(lists.byte())}
    bit = 1 << targets[triple] if triple in targets else 0
    # Functions, then data, then thread-local data; data symbols also have a size.
    for has_size in (False, True, True):
        name = None
        for _ in range(lists.word()):
            if name is None:
                name = lists.text()
            machines = lists.leb128()
            if has_size:
                lists.leb128()
            library = lists.byte()
            versions_of_symbol = tuple(versions[index] for index in lists.marked())
            if machines & bit:
                yield GlibcSymbol(name, libraries[library & _LIBRARY], versions_of_symbol)
            if library & _LAST:
                name = None
    if not lists.ended:
        raise ValueError("something follows that is not known")


def _version(lists: _Reader) -> str:
    major, minor, patch = lists.byte(), lists.byte(), lists.byte()
    return f"{major}.{minor}.{patch}" if patch else f"{major}.{minor}"


def first_versions(symbols: tuple[GlibcSymbol, ...]) -> Mapping[str, str]:
    """Return the glibc version that introduced each symbol, in any library."""
    first: dict[str, str] = {}
    for symbol in symbols:
        for version in symbol.versions:
            first[symbol.name] = min(version, first.get(symbol.name, version), key=_number)
    return first


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
