"""What the environment of a build hook shows of the machine around it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from crosswheel.toolchain.environment import CrossEnvironment


def top_of(tree: Path, package: Path) -> str | None:
    """Return the repository that git finds from a tree in a build hook."""
    environment = CrossEnvironment({}, {}).for_hook(package / "venv", tree, {"PATH": os.environ["PATH"]})
    words = ["git", "rev-parse", "--show-toplevel"]
    done = subprocess.run(words, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def test_a_build_sees_the_repository_of_its_source_and_none_around_it(tmp_path: Path) -> None:
    package = tmp_path / "checkout/build/demo/1.0"
    clone, archive = package / "unpack/source", package / "unpack/demo-1.0"
    for folder in (clone / "python", archive):
        folder.mkdir(parents=True)
    for repository in (tmp_path / "checkout", clone):
        subprocess.run(["git", "init", "--quiet"], cwd=repository, check=True)
    assert top_of(clone / "python", package) == str(clone.resolve())
    assert top_of(archive, package) is None
