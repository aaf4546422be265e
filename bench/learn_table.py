"""Which kinds of machines can be learned, and how long it takes: from a root file system to a proven wheel.

For each kind a root is made of Debian's packages, with its Python and pip, then learned as `crosswheel target learn`
does, and a package is built for it and proven in its own userland. Prints a table: what was learned, the seconds that
learning took, and those until the wheel was proven, or why that could not be; and the state of the machine. A kind that
cannot be learned does not stop the others; exits with 1 if there was one.

Usage: bench/learn [SUITE:ARCHITECTURE ...] [--without-build] [--package ujson==5.10.0] [--folder DIR]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from _measure import ROOT, machine

from crosswheel.cached import CachedFolder
from crosswheel.debian import Debian
from crosswheel.errors import CrosswheelError
from crosswheel.files import digest_of
from crosswheel.learning.learn import Named, learn_root, write_target
from crosswheel.process import Runner
from crosswheel.settings import Settings
from crosswheel.targets import Target

KINDS = (
    "bookworm:armhf", "bookworm:armel", "bookworm:arm64", "bookworm:i386", "bookworm:amd64", "bookworm:ppc64el",
    "bookworm:s390x", "trixie:armhf", "trixie:arm64", "trixie:riscv64",
)  # fmt: skip
PYTHONS = {"bookworm": "3.11", "trixie": "3.13"}
PACKAGES = ("base-files", "python3-minimal", "python3-pip")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("kinds", nargs="*", default=KINDS, metavar="SUITE:ARCHITECTURE")
    parser.add_argument("--without-build", action="store_true")
    parser.add_argument("--package", default="ujson==5.10.0")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args(arguments)
    failed = 0
    print(f"{'kind':<18}{'machine':<10}{'Python':<9}{'glibc':<7}{'learned':>9}{'proven':>9}")
    with tempfile.TemporaryDirectory() as name:
        folder = options.folder or Path(name)
        for kind in options.kinds:
            try:
                package = None if options.without_build else options.package
                print(row(kind, folder.resolve(), package), flush=True)
            except CrosswheelError as error:
                failed += 1
                print(f"{kind:<18}{error}".splitlines()[0], flush=True)
    print(machine())
    return 1 if failed else 0


def row(kind: str, folder: Path, package: str | None) -> str:
    """Learn a kind of machine, and build for it; return a line of the table."""
    suite, architecture = kind.split(":")
    settings, runner = Settings.from_environment(), Runner(log=folder / "log.txt")
    root = root_of(suite, architecture, settings, runner)
    began = time.perf_counter()
    learned = learn_root(Named(kind.replace(":", "-")), root, settings, runner, lambda text: None)
    _, target = write_target(learned, folder / "targets", replace=True)
    seconds = time.perf_counter() - began
    line = f"{kind:<18}{target.machine:<10}{target.python.version:<9}{target.abi.glibc:<7}{seconds:>7.1f} s"
    return f"{line}{built(target, folder, package) if package else '-':>9}"


def root_of(suite: str, architecture: str, settings: Settings, runner: Runner) -> Path:
    """Return a root file system made of packages."""
    debian, short = Debian(architecture, settings, runner, suite=suite), PYTHONS[suite]
    python = (
        f"python{short}",
        f"python{short}-minimal",
        f"libpython{short}-minimal",
        f"libpython{short}-stdlib",
    )
    every = (*PACKAGES, *python)

    def fill(temporary: Path) -> None:
        debian.unpack(
            ["libc6", *every, *debian.shared_libraries([*every, "libstdc++6"]), "libstdc++6"], temporary
        )

    folder = settings.cache / "test-roots" / digest_of(suite=suite, architecture=architecture, packages=every)
    return CachedFolder(folder, [f"usr/bin/python{short}"]).make(fill)


def built(target: Target, folder: Path, package: str) -> str:
    """Build a package for a target and prove it; return how long that took, or that it failed."""
    began = time.perf_counter()
    words = [
        "build",
        package,
        "--as-of",
        "2025-08-01",
        "--target",
        target.name,
        "--build-type",
        "packages-only",
    ]
    done = subprocess.run(
        [ROOT / ".venv/bin/crosswheel", *words], cwd=folder, capture_output=True, text=True, check=False
    )
    (folder / f"{target.name}.txt").write_text(done.stdout + done.stderr)
    return f"{time.perf_counter() - began:.0f} s" if done.returncode == 0 else "failed"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
