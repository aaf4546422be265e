"""The newest day as of which a release works, found by `crosswheel add --find-day`: Prefect 3.3.4, by its flow.

    bench/find-day [REQUIREMENT --test FILE] [--target ot2] [--folder FOLDER]

runs the command in a folder of its own, with a recipe whose test is a flow that a server in the same process sees
completed. It prints each day that was tried, what came of it and how long it took, then the day and the reason in the
lock.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from _measure import ROOT, machine, say, show, timed, usual_environment, workspace

from crosswheel.lock import parsed

_CROSSWHEEL = Path(sys.executable).with_name("crosswheel")
_FLOW = ROOT / "tests" / "e2e" / "flow_and_server.py"
# As the command tells it: the day, how it was tried, what came of it, how long that took.
_STEP = re.compile(r"^As of (\S+), (tried|proven) .*?, it (works|fails: .*) \((.*)\)\.$", re.MULTILINE)


def _steps(log: str) -> Sequence[Sequence[str]]:
    return [[day, how, seconds, outcome] for day, how, outcome, seconds in _STEP.findall(log)]


def _recipe(name: str, test: Path, folder: Path) -> None:
    """Write a recipe that runs a test on the target, for every release of a package."""
    recipe = folder / "packages" / name
    recipe.mkdir(parents=True)
    shutil.copyfile(test, recipe / test.name)
    call = f"package_build.build_package(tests=[{test.name!r}])"
    (recipe / "build.py").write_text(f"from builder import package_build\n\n{call}\n")


def main() -> None:
    """Find the day, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("requirement", nargs="?", default="prefect==3.3.4", help="a release")
    parser.add_argument("--test", type=Path, default=_FLOW, help="a program that must succeed with it")
    parser.add_argument("--target", default="ot2", help="the machine")
    parser.add_argument("--folder", type=Path, help="an empty folder for what is made, which is kept")
    given = parser.parse_args()
    about = machine()
    with workspace(given.folder) as folder:
        _recipe(parsed(given.requirement).name, given.test, folder)
        words: list[str | Path] = [
            _CROSSWHEEL,
            "add",
            given.requirement,
            "--find-day",
            "--target",
            given.target,
        ]
        say(f"finding the day of {given.requirement} for {given.target}; its log is {folder / 'log.txt'}")
        seconds = timed(words, folder / "log.txt", cwd=folder, env=usual_environment())
        log = (folder / "log.txt").read_text()
        (lock,) = (folder / "packages").glob(f"*/*/{given.target}.lock")
        facts = dict(re.findall(r"^# (as-of|newer-fails): (.*)$", lock.read_text(), re.MULTILINE))
    steps = _steps(log)
    title = f"{given.requirement} for {given.target} ({about})"
    show(title, ["day", "how", "time", "result"], steps, right=["time"])
    trials = sum(how == "tried" for _, how, _, _ in steps)
    rows = [
        ["days tried on this machine, and proven", f"{trials}, {len(steps) - trials}"],
        ["in all, with the lock and the index", f"{seconds / 60:.1f} min"],
        ["works as of", facts["as-of"]],
        ["a newer day", facts.get("newer-fails", "none: the newest works")],
    ]
    show("", ["what", "result"], rows, right=[])


if __name__ == "__main__":
    main()
