"""How long does the whole main job take with a shared cache that another machine filled, beside doing it all?

A fresh clone of this checkout's last commit runs ./build-packages with empty caches, and stores what it made in a
folder, the shared cache. A second fresh clone, with empty caches of its own, runs the same. The time of either begins
with the clone: environment and downloads are in it. Then it is looked for what the second one made of tools:
compilers, an emulator, Pythons and C libraries would be in its cache.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from _measure import machine, say, show, stop, timed, workspace
from main_job import MainJob

_GOAL_SECONDS, _GOAL_RATIO = 60, 8
_TOOLS = (
    "zig",
    "qemu-user",
    "roots",
    "userlands",
    "emulators",
    "python",
    "rust",
    "fortran",
    "libraries",
    "verified",
)


@dataclass(frozen=True)
class TeamMember(MainJob):
    """A fresh clone with caches of its own, and the team's key and shared cache."""

    @property
    def environment(self) -> Mapping[str, str]:
        team = self.folder.parent
        return {
            **super().environment,
            "CROSSWHEEL_SHARED_CACHE": str(team / "shared"),
            "CROSSWHEEL_KEYS": str(team / "keys"),
        }

    def measure(self) -> float:
        """Clone and run everything; return the seconds."""
        self.clone()
        return self.run("main job", "--verbose", "--build-type", "both")

    def tools(self) -> list[str]:
        """Return the tools that it made."""
        return [name for name in _TOOLS if any((self.folder / "cache" / name).glob("*"))]

    def wheels(self) -> dict[str, bytes]:
        """Return the wheels of its index."""
        index = self.checkout / "index" / "simple"
        return {path.name: path.read_bytes() for path in index.glob("*/*.whl")}


def main() -> None:
    """Measure, and end with 1 if a goal was missed."""
    parser = argparse.ArgumentParser(
        prog="bench/shared-cache", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="work there, and leave everything for a look")
    options = parser.parse_args()
    state = machine()
    with workspace(options.folder) as folder:
        keys = [sys.executable, "-m", "crosswheel", "keys", "new"]
        first, second = TeamMember(folder / "first"), TeamMember(folder / "second")
        timed(keys, folder / "keys.log", env=first.environment)
        say("with an empty shared cache")
        cold = first.measure()
        say("with what that one stored")
        warm = second.measure()
        if first.wheels() != second.wheels():
            stop("the two have other wheels")
        stored = sum(path.stat().st_size for path in (folder / "shared").rglob("*") if path.is_file())
        rows = [
            ["empty caches", f"{cold:.1f}", "1.0", ", ".join(first.tools())],
            ["a warm shared cache", f"{warm:.1f}", f"{cold / warm:.1f}", ", ".join(second.tools()) or "none"],
        ]
        columns = ("from a fresh clone", "seconds", "times faster", "tools that were made")
        show(f"The main job, {len(second.wheels())} wheels", columns, rows, right=("seconds", "times faster"))
        print(f"The shared cache has {stored / 1e6:.0f} MB. On {state}.")
        print(f"Goals: under {_GOAL_SECONDS} s, {_GOAL_RATIO} times faster, no tool made.")
        sys.exit(warm > _GOAL_SECONDS or cold / warm < _GOAL_RATIO or bool(second.tools()))


if __name__ == "__main__":
    main()
