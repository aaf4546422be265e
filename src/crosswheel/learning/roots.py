"""Open root file systems: a folder, a tar archive such as ``docker export`` writes, an image of SquashFS or ext4."""

from __future__ import annotations

import contextlib
import os
import posixpath
import shutil
import stat
import tarfile
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from crosswheel.cached import cached_folder
from crosswheel.debian import Debian, host_architecture
from crosswheel.errors import IntegrityError, UsageError
from crosswheel.learning.source import DAMAGE, FileStream, Listed, Source
from crosswheel.process import Runner, Word
from crosswheel.settings import Settings
from crosswheel.userlands import Readable, resolved

_SQUASHFS, _EXT4, _EXT4_AT = b"hsqs", b"\x53\xef", 1080
_HEAD_BYTES = 1082


@dataclass(frozen=True)
class RootFolder:
    """A root file system in a folder."""

    folder: Path

    @property
    def title(self) -> str:
        """The folder."""
        return str(self.folder)

    def listing(self) -> Mapping[str, Listed]:
        """Return its files; no link is followed."""
        return dict(self._listed(self.folder, ""))

    def files(self, paths: Collection[str]) -> Iterator[tuple[str, Readable]]:
        """Yield files with their content."""
        for path in paths:
            try:
                stream = (self.folder / path[1:]).open("rb")
            except OSError as error:
                raise _unreadable(self.title, path, error.strerror) from error
            with stream:
                yield path, stream

    def _listed(self, folder: Path, prefix: str) -> Iterator[tuple[str, Listed]]:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except PermissionError:
            return  # nothing is loaded from another user's folder
        for entry in entries:
            path, status = f"{prefix}/{entry.name}", entry.stat(follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode):
                yield path, Listed("link", link=str(Path(entry.path).readlink()))
            elif stat.S_ISDIR(status.st_mode):
                yield path, Listed("folder")
                yield from self._listed(Path(entry.path), path)
            elif stat.S_ISREG(status.st_mode):
                yield path, Listed("file", status.st_size, bool(status.st_mode & 0o111))
            else:
                yield path, Listed("other")


@dataclass(frozen=True)
class TarSource:
    """A root file system in a tar archive, compressed or not."""

    archive: Path

    @property
    def title(self) -> str:
        """The archive."""
        return str(self.archive)

    def listing(self) -> Mapping[str, Listed]:
        """Return its files; of two members with one name, the later counts."""
        return self._listing

    @cached_property
    def _listing(self) -> Mapping[str, Listed]:
        with self._opened() as archive:
            members = _members(archive)
        listed = {path: _listed_member(member) for path, member in members.items()}
        for path, member in members.items():
            if member.islnk():
                listed[path] = listed.get(_path_of(member.linkname), Listed("other"))
        return listed

    def files(self, paths: Collection[str]) -> Iterator[tuple[str, Readable]]:
        """Yield files with their content, in the order of the archive."""
        chosen = set(paths)
        with self._opened() as archive:
            for path, member in _members(archive).items():
                if path in chosen:
                    stream = archive.extractfile(member)  # for a hard link, the content of its target
                    if stream is None:
                        raise _unreadable(self.title, path, "it is no file")
                    yield path, FileStream(stream, self._damaged)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[tarfile.TarFile]:
        try:
            with tarfile.open(self.archive) as archive:
                yield archive
        except DAMAGE as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> IntegrityError:
        return IntegrityError(
            f"{self.archive} cannot be read to its end: {error}",
            hint="get or make it again; it should be a tar archive of a root file system, such as `docker export` "
            "writes.",
        )


@contextlib.contextmanager
def opened_root(path: Path, settings: Settings, runner: Runner) -> Iterator[Source]:
    """Yield the root file system in a folder, an archive or an image; the content decides which it is.

    Raises:
        UsageError: there is none.
        IntegrityError: an image cannot be read.
        MissingToolError, NetworkError: the program that reads an image is available neither here nor from Debian.
    """
    if path.is_dir():
        yield RootFolder(path)
        return
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint="check the path.") from error
    extract = _extractor(head, path, settings, runner)
    if extract is None:
        yield TarSource(path)
        return
    with tempfile.TemporaryDirectory(prefix="crosswheel.") as name:
        folder = Path(name) / "root"
        extract(folder)
        yield RootFolder(folder)


def _extractor(head: bytes, image: Path, settings: Settings, runner: Runner) -> Callable[[Path], None] | None:
    """Return a function that extracts an image; ``None`` if the file is not an image."""
    if head.startswith(_SQUASHFS):
        return partial(_unsquash, image, settings, runner)
    if head[_EXT4_AT:] == _EXT4:
        return partial(_dump_ext4, image, settings, runner)
    return None


def _unsquash(image: Path, settings: Settings, runner: Runner, folder: Path) -> None:
    program, env = image_program("unsquashfs", "squashfs-tools", settings, runner)
    # Without root it creates no device nodes and fails; verify the extracted files instead.
    words: list[Word] = [program, "-quiet", "-no-progress", "-no-xattrs", "-dest", folder, image]
    result = runner.run(words, env=env, check=False)
    _require_extracted(image, folder, result.output)


def _dump_ext4(image: Path, settings: Settings, runner: Runner, folder: Path) -> None:
    program, env = image_program("debugfs", "e2fsprogs", settings, runner)
    folder.mkdir()
    result = runner.run([program, "-R", f'rdump / "{folder}"', image], env=env, check=False)
    _require_extracted(image, folder, result.output)


def _require_extracted(image: Path, folder: Path, output: str) -> None:
    if not folder.is_dir() or not any(folder.iterdir()):
        raise IntegrityError(
            f"no file could be taken out of {image}: {(output.splitlines() or ['nothing was said'])[-1]}",
            hint="get it again; an image of a whole disk has several file systems: take the one of the root out first.",
        )


def image_program(name: str, package: str, settings: Settings, runner: Runner) -> tuple[Path, dict[str, str]]:
    """Return a program of this machine or of Debian's package, and the environment to run it in.

    Raises:
        MissingToolError, NetworkError: it is available neither here nor from Debian.
    """
    system = {**os.environ, "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"}
    installed = shutil.which(name, path=system["PATH"])
    if installed:
        return Path(installed), system
    debian = Debian(host_architecture(), settings, runner)
    needed = [package, *debian.shared_libraries([package])]
    unpack = partial(debian.unpack, needed)
    folder = cached_folder(settings.cache, "tools", {"packages": needed}, unpack, [f"**/{name}"])
    libraries = [path for pattern in ("lib/*-linux-*", "usr/lib/*-linux-*") for path in folder.glob(pattern)]
    program = next(path for path in folder.glob(f"**/{name}") if path.is_file())
    return program, {**system, "LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries))}


def _members(archive: tarfile.TarFile) -> Mapping[str, tarfile.TarInfo]:
    """Return the members by their paths on the machine, with links in folder paths resolved."""
    members = {_path_of(member.name): member for member in archive}
    members.pop("/", None)
    links = {path: member.linkname for path, member in members.items() if member.issym()}
    folders = {
        folder: resolved(folder, links.get) for folder in {posixpath.dirname(path) for path in members}
    }
    return {
        posixpath.join(folders[posixpath.dirname(path)], posixpath.basename(path)): member
        for path, member in members.items()
    }


def _listed_member(member: tarfile.TarInfo) -> Listed:
    if member.isdir():
        return Listed("folder")
    if member.issym():
        return Listed("link", link=member.linkname)
    if member.isreg():
        return Listed("file", member.size, bool(member.mode & 0o111))
    return Listed("other")


def _path_of(name: str) -> str:
    """Return a member's path on the machine; ``..`` does not leave the root."""
    return posixpath.normpath("/" + name.lstrip("/"))


def _unreadable(title: str, path: str, why: str | None) -> IntegrityError:
    return IntegrityError(
        f"{path} of {title} cannot be read: {why}", hint="read it as a user who may, or get it again."
    )
