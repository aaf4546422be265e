"""Commits of git repositories, checked out."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from crosswheel.errors import BuildFailed, IntegrityError, MissingToolError, NetworkError
from crosswheel.process import Runner
from crosswheel.recipes.model import GitSource

# They point git at another repository than the folder it is started in; set inside git hooks.
_LOCATION = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_DIR",
        "GIT_INDEX_FILE",
        "GIT_NAMESPACE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
    }
)


def git_environment() -> Mapping[str, str]:
    """Return this process's environment, but for what would lead git elsewhere or make it ask questions."""
    kept = {name: value for name, value in os.environ.items() if name not in _LOCATION}
    return {**kept, "GIT_TERMINAL_PROMPT": "0"}


def clone(source: GitSource, folder: Path, runner: Runner) -> None:
    """Make ``folder``, which is empty, a shallow clone of one commit, with its submodules.

    Raises:
        NetworkError: the repository or the ref cannot be had.
        IntegrityError: the ref is another commit than the source names.
        MissingToolError: there is no git.
    """
    if shutil.which("git") is None:
        raise MissingToolError(
            f"git is not installed, and the recipe's source is {source}",
            hint="install git with your system's package manager, and run the same command again.",
        )
    try:
        _fetch(source, folder, runner)
    except BuildFailed as error:
        raise NetworkError(
            f"{source} could not be cloned: {error.message}",
            hint="check the address, the ref, the connection and, if it is private, your access to it.",
        ) from error
    commit = head(folder, runner)
    if source.commit not in (None, commit):
        raise IntegrityError(
            f"{source} is commit {commit}, not {source.commit} as the recipe says",
            hint="the tag or branch was moved: find out why before changing the commit in the recipe.",
        )


def head(folder: Path, runner: Runner) -> str:
    """Return the id of the commit that a repository has checked out."""
    return runner.run(["git", "rev-parse", "HEAD"], cwd=folder, env=git_environment()).output.strip()


def _fetch(source: GitSource, folder: Path, runner: Runner) -> None:
    def git(*words: str) -> None:
        runner.run(["git", *words], cwd=folder, env=git_environment())

    if re.fullmatch(r"[0-9a-f]{40}", source.ref):
        # `git clone --branch` takes no commit.
        git("init", "--quiet")
        git("fetch", "--quiet", "--depth=1", "--", source.url, source.ref)
        git("-c", "advice.detachedHead=false", "checkout", "--quiet", "FETCH_HEAD")
    else:
        branch = f"--branch={source.ref}"
        git("-c", "advice.detachedHead=false", "clone", "--quiet", "--depth=1", branch, "--", source.url, ".")
    git("submodule", "--quiet", "update", "--init", "--recursive", "--depth=1")
