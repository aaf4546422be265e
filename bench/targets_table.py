"""Builds packages for every target from source, and prints what was proven there, as the table in docs/targets.md.

All that a target needs is fetched or built before, and not counted; beside the table is told how long each took in all,
and the hash of the wheel.
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

from crosswheel import targets
from crosswheel.files import sha256_of
from crosswheel.process import tail
from crosswheel.targets import Target
from crosswheel.toolchain.python.choosing import origin

AS_OF = "2025-04-25"
COLUMNS = (
    "target",
    "machine",
    "C library",
    "Python",
    "where its Python comes from",
    "built",
    "imported",
    "seconds",
)


def main() -> None:
    """Build for each, print a row as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "names", nargs="*", default=targets.names(), help="targets; all that ship, if not given"
    )
    parser.add_argument(
        "--requirement", action="append", help="what is built; a table for each (default: ujson==5.10.0)"
    )
    given = parser.parse_args()
    for requirement in given.requirement or ["ujson==5.10.0"]:
        print(f"{requirement}, from its source, on {machine()}\n")
        print(f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}")
        for name in given.names:
            say(f"building {requirement} for {name}")
            began = time.perf_counter()
            print(f"| {' | '.join(_row(targets.load(name), requirement))} |", flush=True)
            say(f"{requirement} for {name} took {time.perf_counter() - began:.0f} s in all")
        print()


def _row(target: Target, requirement: str) -> list[str]:
    known = [
        f"`{target.name}`",
        f"{target.machine}, {target.abi.byte_order}-endian",
        f"glibc {target.abi.glibc}",
        target.python.version,
        "headers alone" if target.python.headers else origin(target).partition(",")[0],
    ]
    with tempfile.TemporaryDirectory(prefix="targets.") as name:
        (Path(name) / "packages").mkdir()
        prepared = _crosswheel(Path(name), "build", "--prep-container-only", "--target", target.name)
        if prepared.returncode != 0:
            say(tail(prepared.stdout))
            return [*known, "no", "", ""]
        built = _crosswheel(
            Path(name), "build", requirement, "--as-of", AS_OF, "--from-source", "--target", target.name
        )
        for wheel in Path(name).glob("dist/**/*.whl"):
            say(f"{sha256_of(wheel)}  {wheel.name}")
        proofs = [json.loads(path.read_text()) for path in Path(name).glob("dist/**/*.proof.json")]
    if built.returncode != 0 or not proofs:
        say(tail(built.stdout, 30))
        return [*known, "no", "", ""]
    imported = sum(len(proof["imported"]) for proof in proofs)
    seconds = sum(proof["seconds"] for proof in proofs)  # of the build, also where it was kept
    return [
        *known,
        "yes",
        f"{imported} module{'s' * (imported > 1)}" if imported else "not run",
        f"{seconds:.0f}",
    ]


def _crosswheel(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "crosswheel", *words]
    return subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )


if __name__ == "__main__":
    main()
