"""Writes wheels (PEP 427) with a correct RECORD, and with the same bytes for the same content."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import zipfile
import zlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from crosswheel.files import new_file

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip archive can state
EPOCH = 315532800
"""The same time in seconds since 1970: the ``SOURCE_DATE_EPOCH`` of every build."""


@dataclass(frozen=True)
class Member:
    """A file in a wheel.

    Attributes:
        deflated: its data as another zip archive has it deflated (RFC 1951), if one is known.
    """

    path: str
    data: bytes
    executable: bool = False
    deflated: bytes | None = None


def write_wheel(path: Path, members: Iterable[Member], record: str) -> None:
    """Write a whole wheel, or leave nothing.

    Args:
        members: all members except RECORD, in the order in which to write them.
        record: the path of RECORD: ``<name>-<version>.dist-info/RECORD``.

    Raises:
        StorageError: the wheel cannot be written.
    """
    with new_file(path) as temporary:
        rows = io.StringIO()
        table = csv.writer(rows, lineterminator="\n")
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            for member in members:
                add_member(archive, member)
                digest = base64.urlsafe_b64encode(hashlib.sha256(member.data).digest())
                table.writerow((member.path, f"sha256={digest.decode().rstrip('=')}", len(member.data)))
            table.writerow((record, "", ""))
            add_member(archive, Member(record, rows.getvalue().encode()))


def add_member(archive: zipfile.ZipFile, member: Member) -> None:
    """Add a file to a zip archive, without its time and with no attribute other than being executable."""
    entry = zipfile.ZipInfo(member.path, _EPOCH)
    entry.external_attr = (0o100755 if member.executable else 0o100644) << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.file_size = len(member.data)
    with archive.open(entry, "w") as stream:
        if member.deflated is not None and _inflates_to(member.data, member.deflated):
            # zipfile has no public way to add what is deflated already. All Pythons from 3.7 on compress with this
            # attribute. Where it has another name, this does nothing, and the member is deflated again.
            stream._compressor = _Deflated(member.deflated)  # type: ignore[attr-defined]
        stream.write(member.data)


class _Deflated:
    """Stands in for zipfile's compressor, where the result is known; zipfile counts and sums up the data itself."""

    def __init__(self, deflated: bytes) -> None:
        self._deflated = deflated

    def compress(self, data: bytes) -> bytes:
        return b""

    def flush(self) -> bytes:
        return self._deflated


def _inflates_to(data: bytes, deflated: bytes) -> bool:
    """Whether bytes are one whole deflated stream of the data, and nothing else."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        # One byte more than expected tells apart what is longer, without inflating all of it.
        inflated = inflater.decompress(deflated, len(data) + 1)
    except zlib.error:
        return False
    return inflated == data and inflater.eof and not inflater.unused_data


def with_build_number(path: Path, number: int) -> Path:
    """Set a wheel's build number in its file name and its WHEEL (PEP 427).

    Returns:
        The wheel's new path.

    Raises:
        StorageError: the wheel cannot be written.
    """
    name, version, *_, python, abi, platform = path.name.split("-")
    about, lines = _about(path)
    fields = [line for line in lines if not line.lower().startswith("build:")]
    change_wheel(path, {about: "\n".join([*fields, f"Build: {number}", ""]).encode()})
    return path.replace(path.with_name(f"{name}-{version}-{number}-{python}-{abi}-{platform}"))


def with_platform(path: Path, platform: str) -> Path:
    """Give a wheel another platform tag, in its name and in its WHEEL (PEP 425).

    Returns:
        Where it lies now.

    Raises:
        StorageError: it cannot be written.
    """
    *parts, python, abi, _ = path.stem.split("-")
    about, lines = _about(path)
    tags = sorted({"-".join([*line.split("-")[:2], platform]) for line in lines if line.startswith("Tag:")})
    fields = [line for line in lines if not line.startswith("Tag:")]
    change_wheel(path, {about: "\n".join([*fields, *tags, ""]).encode()})
    return path.replace(path.with_name("-".join([*parts, python, abi, f"{platform}.whl"])))


def _about(path: Path) -> tuple[str, list[str]]:
    """Return where a wheel's WHEEL is, and its lines."""
    with zipfile.ZipFile(path) as archive:
        (about,) = (name for name in archive.namelist() if name.endswith(".dist-info/WHEEL"))
        lines = archive.read(about).decode().splitlines()
    return about, [line for line in lines if line.strip()]


def change_wheel(path: Path, changed: Mapping[str, bytes], without: Collection[str] = ()) -> None:
    """Replace, add and remove files of a wheel; write the whole new wheel, or leave the old one.

    Raises:
        StorageError: the wheel cannot be written.
    """
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: entry for entry in archive.infolist() if not entry.is_dir()}
        (record,) = (name for name in entries if name.endswith(".dist-info/RECORD"))

        def member(name: str) -> Member:
            executable = name in entries and bool(entries[name].external_attr >> 16 & 0o111)
            data = changed[name] if name in changed else archive.read(name)
            return Member(name, data, executable)

        names = [name for name in {**entries, **changed} if name != record and name not in without]
        # The files of *.dist-info are last in the archive (PEP 427).
        names.sort(key=lambda name: (name.split("/")[0].endswith(".dist-info"), name))
        write_wheel(path, map(member, names), record)
