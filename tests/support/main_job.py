"""The main job as a user runs it, and what it leaves behind."""

from __future__ import annotations

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


def _trees(folder: Path) -> list[Word]:
    return [word for name in ("build", "dist", "index") for word in (f"--{name}-tree-root", folder / name)]
