"""Checks out commits of git repositories."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from crosswheel.download import offline_error
from crosswheel.errors import BuildFailed, IntegrityError, MissingToolError, NetworkError
from crosswheel.process import Runner
from crosswheel.recipes.model import GitSource
from crosswheel.settings import Settings

# git sets these in hooks; they would lead it to another repository than the folder that it is started in.
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
    """Return this process's environment without what would lead git elsewhere or make it ask for a password."""
    kept = {name: value for name, value in os.environ.items() if name not in _LOCATION}
    return {**kept, "GIT_TERMINAL_PROMPT": "0"}


def clone(source: GitSource, folder: Path, runner: Runner) -> None:
    """Clone one commit, with its submodules and without its history, into an empty folder.

    Raises:
        NetworkError: the repository cannot be reached, or has no such ref.
        IntegrityError: the ref is another commit than the source states.
        MissingToolError: git is not installed.
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
    """Return the id of the checked-out commit of a repository."""
    return runner.run(["git", "rev-parse", "HEAD"], cwd=folder, env=git_environment()).output.strip()


def commit_of(source: GitSource, runner: Runner, settings: Settings) -> str:
    """Return the commit that a tag, a branch or HEAD of a repository is now; return a commit id without asking.

    Raises:
        NetworkError: the repository cannot be reached, or has no such ref.
    """
    if re.fullmatch(r"[0-9a-f]{40}", source.ref):
        return source.ref
    if settings.offline:
        raise offline_error(f"the commit that {source} is")
    try:
        listed = runner.run(["git", "ls-remote", "--", source.url], env=git_environment()).lines
    except BuildFailed as error:
        raise NetworkError(
            f"{source} could not be asked for: {error.message}",
            hint="check the address, the connection and, if it is private, your access to it.",
        ) from error
    refs = {name: commit for commit, _, name in (line.partition("\t") for line in listed) if name}
    names = (
        f"refs/tags/{source.ref}^{{}}",
        f"refs/tags/{source.ref}",
        f"refs/heads/{source.ref}",
        source.ref,
    )
    commit = next((refs[name] for name in names if name in refs), None)
    if commit is None:
        tags = sorted(name.removeprefix("refs/tags/") for name in refs if name.startswith("refs/tags/"))
        raise NetworkError(
            f"{source.url} has no tag or branch {source.ref}",
            hint=f"write one that it has, or the whole id of a commit; its tags: {', '.join(tags[-4:]) or 'none'}.",
        )
    return commit


def _fetch(source: GitSource, folder: Path, runner: Runner) -> None:
    def git(*words: str) -> None:
        runner.run(["git", *words], cwd=folder, env=git_environment())

    if re.fullmatch(r"[0-9a-f]{40}", source.ref):
        # `git clone --branch` does not accept a commit id.
        git("init", "--quiet")
        git("fetch", "--quiet", "--depth=1", "--", source.url, source.ref)
        git("-c", "advice.detachedHead=false", "checkout", "--quiet", "FETCH_HEAD")
    else:
        branch = f"--branch={source.ref}"
        git("-c", "advice.detachedHead=false", "clone", "--quiet", "--depth=1", branch, "--", source.url, ".")
    git("submodule", "--quiet", "update", "--init", "--recursive", "--depth=1")
