"""The main job as a user runs it, what it leaves behind, and the same for one more package."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from crosswheel.process import Runner, Word

_SECONDS = 7200  # from empty caches, on a slow machine that has other work


@dataclass(frozen=True)
class MainJob:
    """How ``./build-packages`` ended, what it printed, and the folder of its index."""

    returncode: int
    output: str
    index: Path

    @property
    def wheels(self) -> list[Path]:
        """The wheels of the index."""
        return sorted(self.index.glob("simple/*/*.whl"))


def run(checkout: Path, folder: Path, runner: Runner) -> MainJob:
    """Run ``./build-packages`` with trees below ``folder`` and the user's own cache."""
    words: list[Word] = [checkout / "build-packages", "--verbose", "--build-type", "both", *_trees(folder)]
    done = runner.run(words, cwd=folder, timeout=_SECONDS, check=False)
    return MainJob(done.returncode, done.output, folder / "index")


def build_one(recipes: Path, folder: Path, runner: Runner) -> Path:
    """Build the only package of another folder of recipes; return its wheel."""
    crosswheel = Path(sys.executable).with_name("crosswheel")
    words: list[Word] = [crosswheel, "build", "--recipes", recipes, "--build-type", "packages-only"]
    runner.run([*words, *_trees(folder)], cwd=folder, timeout=_SECONDS)
    (wheel,) = folder.glob("dist/*/*/*.whl")
    return wheel


def _trees(folder: Path) -> list[Word]:
    return [word for name in ("build", "dist", "index") for word in (f"--{name}-tree-root", folder / name)]
