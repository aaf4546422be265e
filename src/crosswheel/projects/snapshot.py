"""A project's folder as one archive, named by what is in it: the same files give the same bytes on every machine."""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from crosswheel.errors import CrosswheelError, UsageError
from crosswheel.files import explained_storage_errors, new_file, sha256_of
from crosswheel.process import Runner
from crosswheel.sources.git import git_environment

TOP = "source"
"""The one folder at the top of a snapshot."""

# What tools leave in a project's folder, which is no source, whether or not git is told to ignore it.
_LEFTOVERS = frozenset({
    ".eggs", ".git", ".hg", ".mypy_cache", ".nox", ".pytest_cache", ".ruff_cache", ".svn", ".tox", ".venv",
    "__pycache__", "node_modules",
})  # fmt: skip
_LEFTOVER_ENDINGS = (".egg-info", ".pyc", ".dist-info")
_TIME = 1577836800  # of all files: 2020-01-01, which every format of archives can hold
# No setting of a repository may start a program.
_GIT = ("git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")


@dataclass(frozen=True)
class Snapshot:
    """The files of a project, packed.

    Attributes:
        archive: an uncompressed tar, whose one folder at the top is :data:`TOP`.
        state: of git, for people; ``None`` where the folder is in no repository.
        dirty: files differ from the last commit.
        history: what git tells of the commit, from which tools make versions; empty without a repository.
    """

    archive: Path
    sha256: str
    state: str | None = None
    dirty: bool = False
    history: str = ""

    @property
    def origin(self) -> str:
        """What it is, for people: git's tree, where all files are of a commit; the archive's hash otherwise."""
        if self.state is None or self.dirty:
            changed = f", changed since {self.state}" if self.state else ""
            return f"files sha256:{self.sha256[:16]}{changed}"
        return f"git {self.state}"


def take_snapshot(folder: Path, path: Path, runner: Runner) -> Snapshot:
    """Pack the files of a project's folder into ``path``; what git ignores, and what tools leave there, is not packed.

    Raises:
        UsageError: a file cannot be read, or there is none.
        StorageError: the archive cannot be written.
    """
    files = sorted(_files(folder, runner))
    if not files:
        raise UsageError(
            f"{folder} has no files that are not ignored",
            hint="check the path, and .gitignore in it and above it.",
        )
    with (
        explained_storage_errors(path),
        new_file(path) as temporary,
        tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name in files:
            _pack(archive, folder / name, f"{TOP}/{name}")
    state, dirty, history = _git_state(folder, runner)
    return Snapshot(path, sha256_of(path), state, dirty, history)


def _pack(archive: tarfile.TarFile, path: Path, name: str) -> None:
    """Add a file or a link, without what differs from machine to machine: owner, time, and most of its mode."""
    entry = tarfile.TarInfo(name)
    entry.mtime = _TIME
    try:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            entry.type, entry.linkname = tarfile.SYMTYPE, str(path.readlink())
            archive.addfile(entry)
            return
        with path.open("rb") as stream:
            entry.mode = 0o755 if status.st_mode & stat.S_IXUSR else 0o644
            entry.size = status.st_size
            archive.addfile(entry, stream)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint="check its permissions.") from error


def _files(folder: Path, runner: Runner) -> Iterator[str]:
    """Yield the paths of a project's files below its folder, with ``/``."""
    listed = _listed_by_git(folder, runner)
    names = listed if listed is not None else _walked(folder)
    for name in dict.fromkeys(names):
        if "\ufffd" in name:
            raise UsageError(
                f"{folder} has a file whose name is not UTF-8: {name!r}",
                hint="rename it, or name it in .gitignore.",
            )
        path = folder / name
        if _is_leftover(PurePosixPath(name)) or not (path.is_symlink() or path.exists()):
            continue
        if path.is_dir() and not path.is_symlink():  # a submodule
            yield from (f"{name.rstrip('/')}/{below}" for below in _files(path, runner))
        elif path.is_symlink() or path.is_file():
            yield name


def _is_leftover(path: PurePosixPath) -> bool:
    return any(part in _LEFTOVERS or part.endswith(_LEFTOVER_ENDINGS) for part in path.parts)


def _listed_by_git(folder: Path, runner: Runner) -> list[str] | None:
    """Return the files that git does not ignore; ``None`` where there is no git.

    A folder in no repository, or one that its repository ignores as a whole, is looked at as if it were one itself.
    """
    if shutil.which("git") is None:
        return None
    words = ["ls-files", "-z", "--others", "--exclude-standard"]
    listed = _asked(folder, runner, *words, "--cached")
    if listed and not _asked(folder, runner, "check-ignore", "--quiet", "--", ".", told=True):
        return listed.rstrip("\0").split("\0")
    with tempfile.TemporaryDirectory() as empty:
        if _asked(folder, runner, "init", "--quiet", "--bare", empty) is None:
            return None
        listed = _asked(folder, runner, f"--git-dir={empty}", f"--work-tree={folder}", *words)
    return None if listed is None else [name for name in listed.split("\0") if name]


def _walked(folder: Path) -> Iterator[str]:
    for top, folders, files in os.walk(folder):
        folders[:] = [
            name
            for name in folders
            if name not in _LEFTOVERS and not (Path(top, name) / "pyvenv.cfg").exists()
        ]
        yield from (Path(top, name).relative_to(folder).as_posix() for name in files)


def _git_state(folder: Path, runner: Runner) -> tuple[str | None, bool, str]:
    tree = _asked(folder, runner, "rev-parse", "--verify", "--quiet", "HEAD:./")
    if tree is None:
        return None, False, ""
    changed = _asked(folder, runner, "status", "--porcelain", "--", ".") or ""
    history = _asked(folder, runner, "describe", "--tags", "--long", "--always", "--dirty") or ""
    return f"tree {tree.strip()}", bool(changed.strip()), f"{history.strip()} {tree.strip()}"


def _asked(folder: Path, runner: Runner, *words: str, told: bool = False) -> str | None:
    """Return what git prints; ``None`` where it fails."""
    try:
        result = runner.run([*_GIT, *words], cwd=folder, env=git_environment(), check=False)
    except CrosswheelError:
        return None
    return result.output or ("yes" if told else "") if result.returncode == 0 else None
