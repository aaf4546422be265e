"""What an update changed, as a commit of the git repository that the folder of recipes is in."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from crosswheel.errors import BuildFailed, MissingToolError, UsageError
from crosswheel.process import Runner
from crosswheel.sources.git import git_environment


@dataclass(frozen=True)
class Repository:
    """A folder of a git repository; :meth:`of` finds it. Only what lies in the folder is committed."""

    folder: Path
    runner: Runner

    @classmethod
    def of(cls, folder: Path, runner: Runner, branch: str | None = None) -> Repository:
        """Return the folder's repository, in which nothing of the folder is uncommitted.

        Args:
            branch: a branch that is to be made: there must not be one of that name.

        Raises:
            MissingToolError: there is no git.
            UsageError: it is in no repository, has changes, or the branch cannot be made.
        """
        if shutil.which("git") is None:
            raise MissingToolError(
                "git is not installed", hint="install it with your system's package manager."
            )
        repository = cls(folder, runner)
        state = repository._asked("status", "--porcelain", "--", ".")
        if state is None or repository._asked("rev-parse", "--verify", "--quiet", "HEAD") is None:
            raise UsageError(
                f"{folder} is in no git repository that has a commit",
                hint="leave --commit and --branch out, or commit your recipes first.",
            )
        if state:
            raise UsageError(
                f"{folder} has changes that are in no commit:\n{state}",
                hint="commit them first, so that a commit of the update has nothing else.",
            )
        if branch is not None:
            repository._require_new(branch)
        return repository

    def _require_new(self, branch: str) -> None:
        if branch.startswith("-") or self._asked("check-ref-format", f"refs/heads/{branch}") is None:
            raise UsageError(f"{branch!r} cannot be the name of a branch", hint="such as updates/2025-06-01.")
        if self._asked("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}") is not None:
            raise UsageError(
                f"there is a branch {branch} already", hint="name another one, or remove it: git branch -D."
            )

    def commit(self, message: str, branch: str | None = None) -> str | None:
        """Commit what changed in the folder; return the commit's id, ``None`` if nothing did.

        Args:
            branch: a new branch, which gets the commit on top of the one that is checked out; the folder is afterwards
                as it was before the update. Without one, the branch that is checked out gets it.

        Raises:
            UsageError: git does not know who commits.
        """
        if not self._git("status", "--porcelain", "--", "."):
            return None
        with tempfile.TemporaryDirectory(prefix="crosswheel.") as name:
            text = Path(name) / "message.txt"
            text.write_text(message)
            try:
                if branch is None:
                    self._git("add", "--all", "--", ".")
                    self._git("commit", "--quiet", "--only", f"--file={text}", "--", ".")
                    return self._git("rev-parse", "HEAD")
                index = {"GIT_INDEX_FILE": str(Path(name) / "index")}
                self._git("read-tree", "HEAD", variables=index)
                self._git("add", "--all", "--", ".", variables=index)
                tree = self._git("write-tree", variables=index)
                commit = self._git("commit-tree", tree, "-p", "HEAD", "-F", str(text))
            except BuildFailed as error:
                raise UsageError(
                    f"the update is in {self.folder}, and git could not commit it: {error.message}",
                    hint="tell git who you are (git config user.name, user.email), and commit it.",
                ) from error
        # An empty value says that there must be none: a branch that somebody made meanwhile stays as it is.
        self._git("update-ref", f"refs/heads/{branch}", commit, "")
        self._git("checkout", "--quiet", "HEAD", "--", ".")
        self._git("clean", "--quiet", "--force", "-d", "--", ".")
        return commit

    def _git(self, *words: str, variables: Mapping[str, str] | None = None) -> str:
        environment = {**git_environment(), **(variables or {})}
        return self.runner.run(["git", *words], cwd=self.folder, env=environment).output.strip()

    def _asked(self, *words: str) -> str | None:
        """Return what git answers; ``None`` if it says no."""
        result = self.runner.run(["git", *words], cwd=self.folder, env=git_environment(), check=False)
        return result.output.strip() if result.returncode == 0 else None
