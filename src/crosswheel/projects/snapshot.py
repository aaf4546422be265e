"""Pack a project's folder into one archive, named by its contents: the same files give the same bytes everywhere."""

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

# Tools' leftovers in a project's folder, which are not source, whether or not git ignores them.
_LEFTOVERS = frozenset({
    ".eggs", ".git", ".hg", ".mypy_cache", ".nox", ".pytest_cache", ".ruff_cache", ".svn", ".tox", ".venv",
    "__pycache__", "node_modules",
})  # fmt: skip
_LEFTOVER_ENDINGS = (".egg-info", ".pyc", ".dist-info")
_TIME = 1577836800  # the time of all files: 2020-01-01, which every archive format can express
# No setting of a repository may start a program.
_GIT = ("git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")


@dataclass(frozen=True)
class Snapshot:
    """The packed files of a project.

    Attributes:
        archive: an uncompressed tar with one folder at the top, :data:`TOP`.
        state: the state of git, for people; ``None`` outside any repository.
        dirty: whether files differ from the last commit.
        history: git's description of the commit, from which tools derive versions; empty outside any repository.
    """

    archive: Path
    sha256: str
    state: str | None = None
    dirty: bool = False
    history: str = ""

    @property
    def origin(self) -> str:
        """A description for people: git's tree, if all files are committed; the archive's hash otherwise."""
        if self.state is None or self.dirty:
            changed = f", changed since {self.state}" if self.state else ""
            return f"files sha256:{self.sha256[:16]}{changed}"
        return f"git {self.state}"


def take_snapshot(folder: Path, path: Path, runner: Runner) -> Snapshot:
    """Pack the files of a project's folder into ``path``, without files that git ignores and tools' leftovers.

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
    """Add a file or a link, without attributes that differ between machines: owner, time, and most of its mode."""
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
    """Return the files that git does not ignore; ``None`` without git.

    A folder outside any repository, or ignored as a whole by its repository, is treated as a repository of its own.
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
    """Return git's output; ``None`` if it fails."""
    try:
        result = runner.run([*_GIT, *words], cwd=folder, env=git_environment(), check=False)
    except CrosswheelError:
        return None
    return result.output or ("yes" if told else "") if result.returncode == 0 else None
