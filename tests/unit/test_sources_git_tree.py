"""The tree id is the one git itself computes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from crosswheel.sources.git_tree import git_tree_id

COMMIT = "3c5ec0111e2aa7b160f2b21cfd383d19448dfe13"


def git(folder: Path, *words: str) -> str:
    isolated = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    isolated["GIT_CONFIG_GLOBAL"] = os.devnull
    return subprocess.run(
        ["git", *words], cwd=folder, env=isolated, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with what makes tree ids hard: modes, links, and names that sort differently."""
    folder = tmp_path / "repository"
    for name in ("a/b/deep.txt", "a.txt", "a-b", "a0", "é/ü.txt", "run.sh", "empty.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("" if name == "empty.txt" else name)
    (folder / "run.sh").chmod(0o755)
    (folder / "link").symlink_to("a/b/deep.txt")
    (folder / "folder-link").symlink_to("a")
    (folder / "nothing" / "in" / "here").mkdir(parents=True)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    return folder


def test_the_id_is_that_of_git(repository: Path) -> None:
    assert git_tree_id(repository) == git(repository, "write-tree")


def test_a_submodule_counts_with_its_commit(repository: Path) -> None:
    # Beside `a.txt` and `a-b`, as `a` is: git sorts a submodule as a file, not as a folder.
    for path in ("b", "a/sub"):
        git(repository, "update-index", "--add", "--cacheinfo", f"160000,{COMMIT},{path}")
        (repository / path).mkdir()
    for name in ("b.txt", "b-c", "b0"):
        (repository / name).write_text(name)
    git(repository, "add", "b.txt", "b-c", "b0")
    submodules = {"b": COMMIT, "a/sub": COMMIT}
    assert git_tree_id(repository, submodules=submodules) == git(repository, "write-tree")
    assert git_tree_id(repository) != git_tree_id(repository, submodules=submodules)


@pytest.mark.parametrize("change", ["content", "mode", "name"])
def test_any_change_changes_the_id(repository: Path, change: str) -> None:
    before = git_tree_id(repository)
    file = repository / "a" / "b" / "deep.txt"
    if change == "content":
        file.write_text("other")
    elif change == "mode":
        file.chmod(0o755)
    else:
        file.rename(file.with_name("other.txt"))
    assert git_tree_id(repository) != before


def test_an_empty_folder_has_the_id_of_the_empty_tree(tmp_path: Path) -> None:
    assert git_tree_id(tmp_path) == "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
