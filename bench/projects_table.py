"""Builds real public projects, unchanged, as their maintainers would: the release wheels of each, for several machines.

Each is the sdist of a release with settings for cibuildwheel, which say how it is built and tested. The table tells
the tag that each wheel got, and whether the project's own test command ran on the emulated target.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _measure import machine, say

from crosswheel.process import tail
from crosswheel.registry import Registry
from crosswheel.settings import Settings
from crosswheel.sources.archive import unpack

PROJECTS = (
    "frozenlist==1.7.0",
    "websockets==15.0.1",
    "cytoolz==1.0.1",
    "pybase64==1.4.1",
    "immutables==0.21",
)
TARGETS = ("ot2", "flex")
AS_OF = "2025-06-30"
COLUMNS = ("project", "target", "wheel", "imported", "its own tests", "seconds")


def main() -> None:
    """Build each for every target, print a row as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("projects", nargs="*", default=PROJECTS, help="releases, as NAME==VERSION")
    parser.add_argument("--target", action="append", help="ot2 and flex, if not given")
    given = parser.parse_args()
    print(f"`crosswheel build . --no-deps --tag manylinux --as-of {AS_OF}`, on {machine()}\n")
    print(f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}")
    failed = False
    for release in given.projects:
        with tempfile.TemporaryDirectory(prefix="projects.") as name:
            tree = _source(release, Path(name))
            for target in given.target or TARGETS:
                say(f"building {release} for {target}")
                row = _row(tree, target)
                failed |= "refused" in row[1]
                print(f"| {' | '.join([release, target, *row])} |", flush=True)
    sys.exit(failed)


def _source(release: str, folder: Path) -> Path:
    """Return a project's source, as its sdist has it."""
    name, version = release.split("==")
    with Registry(Settings.from_environment()) as registry:
        sdist = next(file for file in registry.release_files(name, version) if file.kind == "sdist")
        return unpack(registry.fetch(sdist), folder / "source")


def _row(tree: Path, target: str) -> list[str]:
    began = time.monotonic()
    command = Path(sys.executable).with_name("crosswheel")
    words = ["build", str(tree), "--no-deps", "--tag", "manylinux", "--as-of", AS_OF, "--target", target]
    done = subprocess.run(
        [command, *words, "--build-type", "packages-only"], cwd=tree.parent, capture_output=True, text=True
    )
    seconds = f"{time.monotonic() - began:.0f}"
    proofs = [json.loads(path.read_text()) for path in tree.parent.glob(f"dist/*/*/*.{target}.proof.json")]
    if done.returncode != 0 or not proofs:
        say(tail(done.stdout + done.stderr, 30))
        return ["refused", "", "", seconds]
    (proof,) = proofs
    tested = "passed" if "test-command" in proof["tests"] else "none stated"
    return [f"`{proof['wheel']}`", str(len(proof["imported"])), tested, seconds]


if __name__ == "__main__":
    main()
