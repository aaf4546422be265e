"""Debian's formats: an index of packages (deb822), and a package as a file (deb(5))."""

from __future__ import annotations

import email
import mmap
import re
import tarfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from univers.versions import DebianVersion

from crosswheel.errors import IntegrityError

_MAGIC, _HEADER = b"!<arch>\n", 60  # of ar(5), in which a package is
_NAME = re.compile(r"^\s*([a-z0-9][a-z0-9+.-]+)")


@dataclass(frozen=True)
class Stanza:
    """What an index tells of a package; ``archive`` is the address that its paths lie below."""

    archive: str
    fields: Mapping[str, str]

    @property
    def version(self) -> str:
        """Its version."""
        return self.fields["Version"]

    @property
    def address(self) -> str:
        """Where the package is."""
        return self.archive + self.fields["Filename"]

    @property
    def dependencies(self) -> list[str]:
        """The names of the packages that it needs; of alternatives, the first."""
        fields = (self.fields.get(name, "") for name in ("Pre-Depends", "Depends"))
        named = [_NAME.match(word) for field in fields for word in field.split(",")]
        return [match[1] for match in named if match]

    @property
    def files(self) -> Mapping[str, str]:
        """Of a source package: the SHA-256 of each file, by its address."""
        folder = self.archive + self.fields["Directory"]
        rows = (line.split() for line in self.fields.get("Checksums-Sha256", "").splitlines())
        return {f"{folder}/{row[2]}": row[0] for row in rows if len(row) == 3}


@dataclass(frozen=True)
class Index:
    """The indexes of some archives, as files by the address of each."""

    files: Mapping[Path, str]

    def entries(self, package: str) -> list[Stanza]:
        """Return what is told of a package, the newest version first."""
        entries = [
            Stanza(archive, fields)
            for file, archive in self.files.items()
            for fields in _stanzas(file, package)
        ]
        return sorted(entries, key=lambda entry: DebianVersion(entry.version), reverse=True)


def _stanzas(file: Path, package: str) -> Iterator[Mapping[str, str]]:
    if not file.stat().st_size:
        return  # nothing can be mapped of it
    line = f"Package: {package}\n".encode()
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = data.find(line)
        while at >= 0:
            if at == 0 or data[at - 1 : at] == b"\n":
                begin, end = data.rfind(b"\n\n", 0, at), data.find(b"\n\n", at)
                text = data[begin + 2 if begin >= 0 else 0 : end if end >= 0 else len(data)]
                yield dict(email.message_from_string(text.decode(errors="replace")).items())
            at = data.find(line, at + 1)


def unpack_deb(path: Path, folder: Path, only: Collection[str] = ()) -> None:
    """Unpack the files of a binary package below ``folder``, as ``dpkg-deb --extract`` does.

    Args:
        only: the paths of the files to unpack, instead of all; what comes after the last of them is not even read.

    Raises:
        IntegrityError: it is no package, its files would lie elsewhere, or it has not all of those in ``only``.
    """
    try:
        with path.open("rb") as stream:
            _seek_data(stream)
            with tarfile.open(fileobj=stream, mode="r|*") as archive:
                _extract(archive, folder, _selected(archive, set(only)) if only else None)
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise IntegrityError(
            f"{path.name} is not a package that can be unpacked: {error}",
            hint="where it is of an archive of your own: packages of Debian's format, compressed with xz or gzip.",
        ) from error


def _seek_data(stream: IO[bytes]) -> None:
    """Go to the archive of files in a package."""
    if stream.read(len(_MAGIC)) != _MAGIC:
        raise ValueError("it does not begin as an archive of ar")
    while len(header := stream.read(_HEADER)) == _HEADER:
        size = int(header[48:58])
        if header.startswith(b"data.tar"):
            return
        stream.seek(size + size % 2, 1)
    raise ValueError("it has no files")


def _selected(archive: tarfile.TarFile, wanted: set[str]) -> Iterator[tarfile.TarInfo]:
    """Yield the members with these paths, each once, and read no further than to the last.

    Raises:
        ValueError: one of them is not there.
    """
    while wanted and (member := archive.next()):
        path = member.name.removeprefix("./")
        if path in wanted:
            wanted.remove(path)
            yield member
    if wanted:
        raise ValueError(f"it has no {', '.join(sorted(wanted))}")


def _extract(
    archive: tarfile.TarFile, folder: Path, members: Iterator[tarfile.TarInfo] | None = None
) -> None:
    if hasattr(tarfile, "tar_filter"):
        archive.extractall(folder, members, filter="tar")
    else:  # before Python 3.10.12; what is in it is the archive's, by its signature
        archive.extractall(folder, members)
