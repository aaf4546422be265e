"""What does the sandbox cost? Builds and proves packages at each of its levels, side by side.

The levels take turns, each from a cache that has all tools and no wheel; the first turn, which warms them, does not
count. Compares the sums over all turns: seconds of all processors, which other work on the machine changes little, and
seconds by the clock. Exits with 1 when a level costs more than 3 % of processor time.

With --recipes packages, the main job is what is built; its wheels are taken or built as always. With --at-once, the
levels run at the same time, so that what else the machine does is the same for all: only processors are compared then.

Usage: bench/sandbox [--turns 3] [--levels none,namespaces,landlock] [--at-once] [--warm] [--folder DIR]
                     [--recipes DIR | REQUIREMENT ...]
"""

from __future__ import annotations

import argparse
import resource
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

from _measure import machine, say, show, timed, usual_environment, workspace

from crosswheel.files import remove_tree
from crosswheel.settings import Settings

_PACKAGES = ("markupsafe==3.0.2", "ujson==5.10.0", "regex==2024.11.6")
_AS_OF = "2025-04-25"
_MOST = 1.03
_MADE = ("made", "proofs", "sites", "installed", "shared")
"""What of the cache is the result of a build."""
_TOOLS = (
    "build-systems", "cargo", "compat", "debian", "emulators", "files", "fortran", "libraries", "pkg-config", "python",
    "qemu-user", "registry", "roots", "rust", "tools", "uv", "verified", "views",
)  # fmt: skip
"""What of it takes long to fetch or to make."""
_COMPILED = "zig"
"""What of it has the objects that a build without a sandbox compiled, which the next one would find."""


@dataclass(frozen=True)
class Cost:
    """What a command took, in seconds: by the clock, and of all processors."""

    clock: float = 0.0
    processors: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.clock + other.clock, self.processors + other.processors)


def main(arguments: Sequence[str]) -> int:
    """Run the turns, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("requirements", nargs="*", metavar="REQUIREMENT", default=_PACKAGES)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--levels", default="none,namespaces,landlock", help="the first is compared with")
    parser.add_argument("--at-once", action="store_true", help="run the levels at the same time")
    parser.add_argument(
        "--warm", action="store_true", help="the user's cache has all tools: the first turn counts"
    )
    parser.add_argument("--recipes", type=Path, help="build the roots of this folder instead of requirements")
    parser.add_argument("--folder", type=Path, help="an empty folder for logs, which is kept")
    given = parser.parse_args(arguments)
    levels, state = given.levels.split(","), machine()
    words = [*given.requirements, "--as-of", _AS_OF, "--from-source"]
    if given.recipes:
        words = ["--recipes", str(given.recipes.resolve())]
    costs = dict.fromkeys(levels, Cost())
    workers = len(levels) if given.at_once else 1
    with workspace(given.folder) as folder, ProcessPoolExecutor(workers) as pool:
        for turn in range(int(given.warm), given.turns + 1):
            order = levels if turn % 2 else levels[::-1]
            folders = [folder / f"{turn}-{level}" for level in order]
            caches = [folder / "caches" / level for level in order]
            for level, cost in zip(order, pool.map(built, order, repeat(words), folders, caches)):
                say(
                    f"turn {turn}, {level}: {cost.processors:.1f} s of processors, {cost.clock:.1f} s by the clock"
                )
                if turn:
                    costs[level] += cost
    first = costs[levels[0]]
    at_once = ", the levels at once" if given.at_once else ""
    show(
        f"{given.recipes or ', '.join(given.requirements)}: sums of {given.turns} turns{at_once}; {state}",
        ["sandbox", "s of processors", "s by the clock", "processors", "clock"],
        [
            [
                level,
                f"{cost.processors:.1f}",
                f"{cost.clock:.1f}",
                f"{cost.processors / first.processors:.3f} x",
                f"{cost.clock / first.clock:.3f} x",
            ]
            for level, cost in costs.items()
        ],
        right=("s of processors", "s by the clock", "processors", "clock"),
    )
    return int(any(cost.processors > _MOST * first.processors for cost in costs.values()))


def built(level: str, words: Sequence[str], folder: Path, cache: Path) -> Cost:
    """Build and prove packages at a level; return what that took."""
    renew(cache)
    folder.mkdir()
    program = Path(sys.executable).with_name("crosswheel")
    command: list[str | Path] = [
        program,
        "build",
        *words,
        "--sandbox",
        level,
        "--build-type",
        "packages-only",
    ]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = timed(
        command, folder / "build.log", cwd=folder, env={**usual_environment(), "CROSSWHEEL_CACHE": str(cache)}
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def renew(cache: Path) -> None:
    """Give a cache that has the user's own tools, what earlier turns fetched, and no wheel."""
    own = Settings.from_environment().cache
    cache.mkdir(parents=True, exist_ok=True)
    for path in (own / name for name in _TOOLS):
        link = cache / path.name
        if path.is_dir() and not link.is_symlink():
            link.symlink_to(path)
    remove_tree(cache / _COMPILED)
    if (own / _COMPILED).is_dir():
        shutil.copytree(own / _COMPILED, cache / _COMPILED, symlinks=True)
    for name in _MADE:
        remove_tree(cache / name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
