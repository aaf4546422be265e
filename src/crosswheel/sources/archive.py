"""Unpacks archives without trusting them."""

from __future__ import annotations

import calendar
import contextlib
import errno
import functools
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Literal

from crosswheel.errors import IntegrityError
from crosswheel.files import new_folder

try:
    from lzma import LZMAError
except ImportError:  # this Python was built without liblzma; tarfile raises its own error for a .tar.xz
    LZMAError = tarfile.CompressionError  # type: ignore[misc,assignment]

_SIZE_LIMIT = 4 << 30
_MOST_MEMBERS = 200_000
_BLOCK = 1 << 20
_LONGEST_LINK = 4096
_LATEST = float(1 << 32)

# The exceptions that the readers raise for an incomplete archive, or for something else.
_DAMAGE = (
    EOFError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    LZMAError,
)
# The errors of a file system for a name that clashes with another member's, or that it cannot store.
_CLASHES = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.ELOOP)


@dataclass(frozen=True)
class _ArchiveMember:
    """An entry of an archive of any format.

    ``modified`` is in seconds since the epoch; ``target`` is the target of a symbolic link; ``vet`` raises the error
    that the format's own library has for an unsafe member.
    """

    name: str
    kind: Literal["file", "folder", "link", "other"]
    executable: bool
    modified: float
    target: str
    open: Callable[[], IO[bytes] | None]
    vet: Callable[[], object] = lambda: None


def unpack(
    archive: Path,
    folder: Path,
    *,
    is_selected: Callable[[str], bool] = lambda name: True,
    size_limit: int = _SIZE_LIMIT,
) -> Path:
    """Unpack a zip or tar archive (also compressed with gzip, bzip2 or xz) into a new folder.

    The content decides the format. Executable bits and times are kept; owners and other modes are not.
    Every member's path is resolved in the real file system before it is written, so that neither ``..`` nor absolute
    names nor a chain of links lead out of the folder. Tar members also pass the standard filter (PEP 706), which
    Python 3.10 and 3.11 lack before mid-2023; there, these checks are the only ones.

    Args:
        folder: the new folder, which is written whole or not at all. One that exists is returned as it is.
        is_selected: decides by a member's name whether to unpack it; all are unpacked by default.
        size_limit: the most bytes that all files together may have, against archives made to fill the disk.

    Returns:
        The single top-level folder if there is just one, else ``folder``.

    Raises:
        IntegrityError: the archive is damaged, truncated, too large or malicious; names file and member.
        StorageError: the files cannot be written.
    """
    if not folder.is_dir():
        with new_folder(folder) as temporary:
            _Unpacking(archive, temporary, size_limit).run(is_selected)
    entries = list(folder.iterdir())
    if len(entries) == 1 and entries[0].is_dir() and not entries[0].is_symlink():
        return entries[0]
    return folder


class _Unpacking:
    """The state of one unpacking: how many bytes may still be written, and the current member."""

    def __init__(self, archive: Path, folder: Path, size_limit: int) -> None:
        self._archive = archive
        self._folder = Path(os.path.realpath(folder))
        self._size_limit = size_limit
        self._left = size_limit
        self._at: str | None = None
        self._written: set[Path] = set()

    def run(self, is_selected: Callable[[str], bool]) -> None:
        try:
            for number, member in enumerate(_members(self._archive, self._folder)):
                if number == _MOST_MEMBERS:
                    raise self._refusal(f"has more than {_MOST_MEMBERS} files and folders")
                if is_selected(member.name):
                    self._at = member.name
                    self._write(member)
            self._at = None
        except _DAMAGE as error:
            raise self._refusal(f"cannot be unpacked: {str(error) or type(error).__name__}") from error
        except OSError as error:
            # Decompressors raise OSError without a number.
            if error.errno is not None and error.errno not in _CLASHES:
                raise
            raise self._refusal(f"cannot be unpacked: {error.strerror or error}") from error
        self._refuse_links_out()

    def _write(self, member: _ArchiveMember) -> None:
        path = self._destination(member.name)
        if member.kind == "folder":
            path.mkdir(parents=True, exist_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        if member.kind == "link":
            member.vet()
            path.symlink_to(member.target)  # _refuse_links_out checks it when all members are there
        elif member.kind == "file":
            member.vet()
            self._write_file(member, path)
        else:
            raise self._refusal("is neither file, folder nor link")

    def _destination(self, name: str) -> Path:
        relative = PurePosixPath(name)
        if relative.is_absolute() or ".." in relative.parts or "\0" in name:
            raise self._refusal("has a name that leads out of the archive")
        path = self._folder / relative
        if path != self._folder and not self._is_inside(path.parent):
            raise self._refusal("lies behind a link that leads out of the archive")
        return path

    def _write_file(self, member: _ArchiveMember, path: Path) -> None:
        content = member.open()
        if content is None:
            raise self._refusal("has no content")
        if path in self._written:
            path.unlink()  # of two members with one name, the later counts, as with tar and pip
        self._written.add(path)
        # "x" refuses a name that differs only by case on a file system that ignores case; no link is
        # followed.
        with content, path.open("xb") as stream:
            while block := content.read(min(_BLOCK, self._left + 1)):
                self._left -= len(block)
                if self._left < 0:
                    raise self._refusal(f"exceeds the limit of {self._size_limit} bytes for all files")
                stream.write(block)
        path.chmod(0o755 if member.executable else 0o644)
        # make and its like compare times: a generated file has to stay newer than its source.
        os.utime(path, (member.modified, member.modified))

    def _refuse_links_out(self) -> None:
        """Refuse links that lead out of the folder; called at the end, as a link may lead through a later one."""
        for parent, folders, files in os.walk(self._folder):
            for path in (Path(parent, name) for name in (*folders, *files)):
                if path.is_symlink() and not self._is_inside(path):
                    self._at = str(path.relative_to(self._folder))
                    raise self._refusal(f"is a link that leads out of the archive, to {path.readlink()}")

    def _is_inside(self, path: Path) -> bool:
        real = Path(os.path.realpath(path))
        return real == self._folder or self._folder in real.parents

    def _refusal(self, reason: str) -> IntegrityError:
        where = f"{self._at} in {self._archive.name}" if self._at else self._archive.name
        return IntegrityError(
            f"{where} {reason}", hint="fetch it again; if it stays so, do not use it, and tell its publisher."
        )


def _members(archive: Path, folder: Path) -> Iterator[_ArchiveMember]:
    with archive.open("rb") as stream:
        # zipfile.is_zipfile would also accept other files that have a zip archive near their end.
        is_zip = stream.read(2) == b"PK"
    return _zip_members(archive) if is_zip else _tar_members(archive, folder)


def _zip_members(archive: Path) -> Iterator[_ArchiveMember]:
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            mode = info.external_attr >> 16  # 0 if the archive was not made on Unix
            kind = _kind_of_mode(mode, is_folder=info.is_dir())
            yield _ArchiveMember(
                name=info.filename,
                kind=kind,
                executable=bool(mode & stat.S_IXUSR),
                modified=_zip_time(info),
                target=_zip_link(opened, info) if kind == "link" else "",
                open=functools.partial(opened.open, info),
            )


def _zip_link(opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> str:
    with opened.open(info) as content:  # a zip archive stores a link's target as its content
        return os.fsdecode(content.read(_LONGEST_LINK))


def _kind_of_mode(mode: int, *, is_folder: bool) -> Literal["file", "folder", "link", "other"]:
    if stat.S_ISLNK(mode):
        return "link"
    if is_folder:
        return "folder"
    return "file" if stat.S_IFMT(mode) in (0, stat.S_IFREG) else "other"


def _zip_time(info: zipfile.ZipInfo) -> float:
    with contextlib.suppress(ValueError):  # some programs write month 0
        return float(calendar.timegm((*info.date_time, 0, 0, 0)))
    return 0.0


def _tar_members(archive: Path, folder: Path) -> Iterator[_ArchiveMember]:
    standard_filter = getattr(tarfile, "data_filter", _no_filter)
    with tarfile.open(archive) as opened:
        for info in opened:
            yield _ArchiveMember(
                name=info.name,
                kind=_kind_of_tar(info),
                executable=bool((info.mode or 0) & stat.S_IXUSR),
                modified=min(max(float(info.mtime), 0.0), _LATEST),
                target=info.linkname,
                # A hard link is unpacked as the file that it links to, which has to be in the archive.
                open=functools.partial(opened.extractfile, info),
                vet=functools.partial(standard_filter, info, str(folder)),
            )
        # Read to the very end, so that the decompressor verifies its checksum.
        while opened.fileobj is not None and opened.fileobj.read(_BLOCK):
            pass


def _kind_of_tar(info: tarfile.TarInfo) -> Literal["file", "folder", "link", "other"]:
    if info.issym():
        return "link"
    if info.isdir():
        return "folder"
    return "file" if info.isreg() or info.islnk() else "other"


def _no_filter(info: tarfile.TarInfo, folder: str) -> tarfile.TarInfo:
    return info
