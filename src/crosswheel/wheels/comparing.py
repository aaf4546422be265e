"""Compares two wheels that should be identical, and names each difference, down to the section of a shared object."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

_ELF = b"\x7fELF"
_SHOWN = 60


def differences(first: Path, second: Path) -> Iterator[str]:
    """Yield a sentence for each difference between two wheels; nothing if they are identical to the byte."""
    if first.read_bytes() == second.read_bytes():
        return
    with zipfile.ZipFile(first) as one, zipfile.ZipFile(second) as two:
        names = dict.fromkeys([*one.namelist(), *two.namelist()])
        count = 0
        for name in names:
            for sentence in _of_member(name, one, two):
                count += 1
                yield sentence
        if one.namelist() != two.namelist():
            yield "the members have another order"
        elif count == 0:
            yield "all members have the same bytes: the archives are packed in another way, as by another zlib"


def _of_member(name: str, one: zipfile.ZipFile, two: zipfile.ZipFile) -> Iterator[str]:
    for archive in (one, two):
        if name not in archive.namelist():
            yield f"{name}: only the {'new' if archive is one else 'former'} one has it"
            return
    first, second = one.getinfo(name), two.getinfo(name)
    if first.date_time != second.date_time:
        yield f"{name}: its time is {first.date_time}, and {second.date_time}"
    if first.external_attr != second.external_attr:
        yield f"{name}: its permissions are {first.external_attr >> 16:o}, and {second.external_attr >> 16:o}"
    data, other_data = one.read(name), two.read(name)
    if data != other_data:
        yield f"{name}: {_explained(data, other_data)}"


def _explained(first: bytes, second: bytes) -> str:
    if first.startswith(_ELF) and second.startswith(_ELF):
        try:
            return "; ".join(_of_sections(first, second)) or "headers of the object differ, and no section"
        except (ELFError, ValueError):
            return "it is a damaged object in one of them"
    try:
        lines, other_lines = first.decode().splitlines(), second.decode().splitlines()
    except UnicodeDecodeError:
        position = next(
            (i for i, (a, b) in enumerate(zip(first, second)) if a != b), min(len(first), len(second))
        )
        return f"{len(first)} and {len(second)} bytes, which differ from byte {position} on"
    for number, (line, other) in enumerate(zip(lines, other_lines), 1):
        if line != other:
            return f"line {number} is {line[:_SHOWN]!r}, and {other[:_SHOWN]!r}"
    return f"{len(lines)} and {len(other_lines)} lines"


def _of_sections(first: bytes, second: bytes) -> Iterator[str]:
    sections, other_sections = _sections(first), _sections(second)
    for name in dict.fromkeys([*sections, *other_sections]):
        data, other = sections.get(name), other_sections.get(name)
        if data is None or other is None:
            yield f"only one of them has the section {name}"
        elif data != other:
            text = _first_text(data, other)
            yield f"section {name} differs ({len(data)} and {len(other)} bytes{text})"


def _sections(data: bytes) -> dict[str, bytes]:
    return {
        section.name: section.data() for section in ELFFile(io.BytesIO(data)).iter_sections() if section.name
    }


def _first_text(data: bytes, other: bytes) -> str:
    """Return the first pair of differing strings in two sections, in words; an empty text if it is not readable."""
    for one, two in zip(data.split(b"\0"), other.split(b"\0")):
        if one != two:
            if min(len(one), len(two)) > 3 and one.isascii() and two.isascii():
                return f": {one.decode()[:_SHOWN]!r}, and {two.decode()[:_SHOWN]!r}"
            return ""
    return ""
