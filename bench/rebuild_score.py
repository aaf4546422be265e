"""How many wheels come out the same to the byte, built again from their provenance, elsewhere and otherwise?

Takes each wheel of `dist/` that was built, and builds it again in another folder, time zone, umask and locale, on one
processor, and on another host where the kernel lets it be called so. Prints a row for each, and the count; exits with 1
when one differs. Hours where there is much Rust; what was done before is not done again, with --verdicts.

Usage: bench/rebuild [--dist-tree-root dist] [--recipes packages] [--target ot2] [--verdicts DIR] [NAME ...]
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from _measure import ROOT, machine, show

from crosswheel.wheels import provenance
from crosswheel.wheels.layout import PROVENANCE_SUFFIX


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only wheels of these projects")
    parser.add_argument("--dist-tree-root", type=Path, default=ROOT / "dist")
    parser.add_argument("--recipes", type=Path, default=ROOT / "packages")
    parser.add_argument("--target", default="ot2")
    parser.add_argument("--verdicts", type=Path, help="a folder for what came of each; kept")
    given = parser.parse_args(arguments)
    rows, state = [], machine()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (given.verdicts or Path(scratch)).resolve()
        for wheel in built_wheels(given.dist_tree_root.resolve(), given.target):
            if not given.names or wheel.parts[-3] in given.names:
                rows.append(rebuilt(wheel, given.target, given.recipes.resolve(), folder))
                print(" ".join(rows[-1]), flush=True)
    same = sum(row[2] == "identical" for row in rows)
    show(
        f"{same} of {len(rows)} identical; {state}",
        ["wheel", "s", "result", "differs in"],
        rows,
        right=("s",),
    )
    return 0 if rows and same == len(rows) else 1


def built_wheels(dist: Path, target: str) -> Iterator[Path]:
    """Yield the wheels of a tree that were built for a target, as their provenance says."""
    for path in sorted(dist.rglob(f"*.{target}{PROVENANCE_SUFFIX}")):
        said = provenance.read_unverified(path)
        definition = said["predicate"]["buildDefinition"] if said else {}
        if (
            definition.get("buildType") == provenance.BUILT
            and definition["externalParameters"]["target"] == target
        ):
            yield path.with_name(path.name.removesuffix(f".{target}{PROVENANCE_SUFFIX}"))


def rebuilt(wheel: Path, target: str, recipes: Path, folder: Path) -> list[str]:
    """Build a wheel again; return a row of the table."""
    verdict = folder / f"{wheel.name}.rebuild.json"
    began = time.monotonic()
    output = ""
    if not verdict.is_file():
        with tempfile.TemporaryDirectory(prefix="elsewhere-") as elsewhere:
            words = [
                "rebuild",
                str(wheel),
                "--target",
                target,
                "--recipes",
                str(recipes),
                "--output",
                str(verdict),
            ]
            output = otherwise([str(Path(sys.executable).with_name("crosswheel")), *words], Path(elsewhere))
    seconds = f"{time.monotonic() - began:.0f}"
    if not verdict.is_file():
        return [wheel.name, seconds, "failed", output.strip().splitlines()[-2:][0] if output.strip() else ""]
    said = json.loads(verdict.read_bytes())
    said = said if "_type" in said else json.loads(base64.b64decode(said["payload"]))
    return [wheel.name, seconds, said["predicate"]["result"], "; ".join(said["predicate"]["differences"])]


def otherwise(command: list[str], folder: Path) -> str:
    """Run a command in another folder, time zone, umask, locale and host, on one processor; return what it prints."""
    prefix = ["taskset", "--cpu-list", "0"] if shutil.which("taskset") else []
    unshare = ["unshare", "--uts"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--uts"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode == 0:
        prefix += [*unshare, "sh", "-c", 'hostname another-host && exec "$@"', "sh"]
    done = subprocess.run(
        [*prefix, *command],
        cwd=folder,
        env={**os.environ, "TZ": "Pacific/Kiritimati", "LC_ALL": "C", "LANG": "C", "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        umask=0o027,
    )
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
