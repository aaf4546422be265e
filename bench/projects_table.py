"""Builds real public projects, unchanged, for several machines: the sdists of releases that projects.toml names.

The first table has projects with settings for cibuildwheel, of which the release wheels are built and tested as those
say: the tag of each wheel, and whether the project's own test command ran on the emulated target. The second table has
projects with a lock of their own, built with all that it pins: what was taken and built, or why it was refused.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from _measure import ROOT, machine, say, stop
from pydantic import BaseModel, ConfigDict

from crosswheel.process import tail
from crosswheel.registry import Registry
from crosswheel.settings import Settings
from crosswheel.sources.archive import unpack

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TARGETS = ("ot2", "flex")
AS_OF = "2025-06-30"
Row = Callable[["Project", Path, str], list[str]]


class Project(BaseModel):
    """A project of projects.toml.

    Attributes:
        lock: the name of its own lock; empty in the table of those with settings for cibuildwheel.
        beside: whether the lock does not name the project itself.
        refused: a part of what crosswheel says of a lock that cannot be followed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    release: str
    sha256: str
    lock: str = ""
    beside: bool = False
    refused: str = ""


class Projects(BaseModel):
    """All of projects.toml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cibuildwheel: tuple[Project, ...]
    locked: tuple[Project, ...]


def main() -> None:
    """Build each for every target, print a row as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "projects", nargs="*", help="releases of projects.toml, as NAME==VERSION; all if none is given"
    )
    parser.add_argument("--table", choices=("cibuildwheel", "locked"), help="both, if not given")
    parser.add_argument("--target", action="append", help="ot2 and flex, if not given")
    given = parser.parse_args()
    every = Projects.model_validate(tomllib.loads((ROOT / "bench" / "projects.toml").read_text()))
    targets, fine = given.target or TARGETS, True
    columns: tuple[str, ...]
    if given.table != "locked":
        print(f"`crosswheel build . --no-deps --tag manylinux --as-of {AS_OF}`, on {machine()}\n")
        columns = ("project", "target", "wheel", "imported", "its own tests", "seconds")
        fine &= _table(columns, _chosen(every.cibuildwheel, given.projects), targets, _released)
    if given.table != "cibuildwheel":
        print(f"\n`crosswheel build -r LOCK --as-of {AS_OF}`, on {machine()}\n")
        columns = ("project", "its lock", "target", "pins", "taken", "built", "refused because", "seconds")
        fine &= _table(columns, _chosen(every.locked, given.projects), targets, _locked)
    sys.exit(not fine)


def _chosen(projects: Iterable[Project], names: Sequence[str]) -> list[Project]:
    return [project for project in projects if not names or project.release in names]


def _table(columns: Sequence[str], projects: Sequence[Project], targets: Sequence[str], row: Row) -> bool:
    """Print a table with a row for each project and target; return whether nothing was refused."""
    print(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")
    built = refused = 0
    for project in projects:
        rows = []
        for target in targets:
            with tempfile.TemporaryDirectory(prefix="projects.") as name:
                tree = _source(project, Path(name))
                say(f"building {project.release} for {target}")
                rows.append(" | ".join(row(project, tree, target)))
            print(f"| {rows[-1]} |", flush=True)
        built += not any("refused: " in row for row in rows)
        refused += bool(project.refused) and all(project.refused in row for row in rows)
    print(
        f"\n{len(projects)} projects: {built} built for {' and '.join(targets)}, {refused} refused as expected"
    )
    return built + refused == len(projects)


def _source(project: Project, folder: Path) -> Path:
    """Return a project's source, as its sdist has it."""
    name, version = project.release.split("==")
    with Registry(Settings.from_environment()) as registry:
        sdist = next(file for file in registry.release_files(name, version) if file.kind == "sdist")
        if sdist.sha256 != project.sha256:
            stop(f"the sdist of {project.release} has sha256 {sdist.sha256}, not {project.sha256}")
        return unpack(registry.fetch(sdist), folder / "source")


def _released(project: Project, tree: Path, target: str) -> list[str]:
    """Return the row of a project of which the release wheels are built."""
    done, seconds = _build([str(tree), "--no-deps", "--tag", "manylinux"], tree, target)
    proofs = _proofs(tree, target)
    if done.returncode != 0 or not proofs:
        return [project.release, target, f"refused: {_reason(done, tree)}", "", "", seconds]
    (proof,) = proofs
    tested = "passed" if "test-command" in proof["tests"] else "none stated"
    return [project.release, target, f"`{proof['wheel']}`", str(len(proof["imported"])), tested, seconds]


def _locked(project: Project, tree: Path, target: str) -> list[str]:
    """Return the row of a project that is built with what its lock pins."""
    done, seconds = _build(
        [*([str(tree)] if project.beside else []), "-r", str(tree / project.lock)], tree, target
    )
    origins = [proof["origin"] for proof in _proofs(tree, target)]
    counts = [str(len(origins)), str(origins.count("taken")), str(origins.count("built"))]
    reason = "" if done.returncode == 0 and origins else f"refused: {_reason(done, tree)}"
    return [project.release, project.lock, target, *counts, reason, seconds]


def _build(words: list[str], tree: Path, target: str) -> tuple[subprocess.CompletedProcess[str], str]:
    """Build in the folder above a project's source; return how it ended, and the seconds."""
    began = time.monotonic()
    command = str(Path(sys.executable).with_name("crosswheel"))
    options = ["--as-of", AS_OF, "--target", target, "--build-type", "packages-only"]
    done = subprocess.run(
        [command, "build", *words, *options],
        cwd=tree.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done, f"{time.monotonic() - began:.0f}"


def _proofs(tree: Path, target: str) -> list[Any]:
    return [json.loads(path.read_text()) for path in tree.parent.glob(f"dist/*/*/*.{target}.proof.json")]


def _reason(done: subprocess.CompletedProcess[str], tree: Path) -> str:
    """Return why a build failed, in one line."""
    say(tail(done.stdout, 30))
    error = re.search(
        r"^(?:\S+: )?(?:error|failed|refused)\b:? *(.+(?:\n +.+)*)", done.stdout, re.MULTILINE | re.I
    )
    text = error[1].partition("what to do:")[0] if error else tail(done.stdout, 1)
    return " ".join(text.split()).replace(f"{tree.parent}/", "").replace("|", "/")[:200]


if __name__ == "__main__":
    main()
