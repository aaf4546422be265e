"""Which kinds of machines can be learned, and how long it takes: from a root file system to a proven wheel.

For each kind a root is made of Debian's packages, then learned as `crosswheel target learn` does, and a package is
built for it and proven in its own userland. Prints a table: what was learned; the seconds that learning took, and
those over a line of 5 MB/s, by the size of what is kept; and the seconds until the wheel was proven, or why that could
not be. A Python that is sent is built first, outside of these times (`bench/python` measures that). A kind that cannot
be learned does not stop the others; exits with 1 if there was one. The last line is the state of the machine.

A kind is SUITE:ARCHITECTURE, with Debian's Python and pip; SUITE:ARCHITECTURE:none without any Python, and
SUITE:ARCHITECTURE:musl with nothing but Debian's musl: these two are sent a Python; or a target that ships with
crosswheel, for which no packages make a root. With --facts, this machine itself is asked for its facts alone, over ssh.

Usage: bench/learn [KIND ...] [--without-build] [--package ujson==5.10.0] [--folder DIR] [--facts]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from _measure import ROOT, machine, stop

from crosswheel import targets
from crosswheel.cached import CachedFolder
from crosswheel.debian import Debian
from crosswheel.emulation.emulator import kept_userland
from crosswheel.errors import BuildFailed, CrosswheelError
from crosswheel.files import digest_of
from crosswheel.learning.learn import Named, learn_root, write_target
from crosswheel.process import Runner
from crosswheel.settings import Settings
from crosswheel.targets import Target
from crosswheel.toolchain.python.choosing import target_python

sys.path.insert(0, str(ROOT / "tests"))
from support.sshd import PROGRAM, sshd

KINDS = (
    "bookworm:armhf", "trixie:armhf", "bookworm:arm64", "bookworm:armel", "trixie:riscv64", "linux-x86-64",
    "bookworm:armhf:musl", "bookworm:arm64:musl", "bookworm:s390x", "bookworm:armhf:none",
)  # fmt: skip
PYTHONS = {"bookworm": "3.11", "trixie": "3.13"}
SENT = "3.13"
BYTES_PER_SECOND = 5e6
HEAD = (
    f"{'kind':<21}{'machine':<10}{'C library':<13}{'Python':<15}"
    f"{'learned':>9}{'MB':>7}{'by 5 MB/s':>11}{'proven':>9}"
)
_C_LIBRARY = ("base-files", "libc6", "libgcc-s1", "libstdc++6")
_SSH_CONFIG = """
Host itself
  HostName 127.0.0.1
  Port {port}
  IdentityFile {folder}/key
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known
"""


@dataclass(frozen=True)
class Bench:
    """What the kinds share: the folder of results, and the package to build, if there is one."""

    folder: Path
    package: str | None
    settings: Settings
    runner: Runner


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="KIND")
    parser.add_argument("--without-build", action="store_true")
    parser.add_argument("--package", default="ujson==5.10.0")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--facts", action="store_true")
    options = parser.parse_args(arguments)
    failed = 0
    state = machine()
    with tempfile.TemporaryDirectory() as name:
        folder = (options.folder or Path(name)).resolve()
        package = None if options.without_build else options.package
        bench = Bench(folder, package, Settings.from_environment(), Runner(log=folder / "log.txt"))
        if options.facts:
            print(f"this machine's facts alone, over ssh: {facts_alone(folder):.1f} s")
        kinds = options.kinds or (() if options.facts else KINDS)
        if kinds:
            print(HEAD)
        for kind in kinds:
            try:
                print(row(kind, bench), flush=True)
            except CrosswheelError as error:
                failed += 1
                print(f"{kind:<21}{error}".splitlines()[0], flush=True)
    print(state)
    return 1 if failed else 0


def row(kind: str, bench: Bench) -> str:
    """Learn a kind of machine, and build for it; return a line of the table."""
    learned = f"{'by hand':>9}{'-':>7}{'-':>11}"
    if ":" in kind:
        target, seconds = learn(kind, bench)
        userland = kept_userland(target, bench.settings)
        assert userland is not None
        files = (path for path, entry in userland.entries.items() if entry.kind == "file")
        size = sum(userland.path(path).stat().st_size for path in files)
        learned = f"{seconds:>7.1f} s{size / 1e6:>7.1f}{seconds + size / BYTES_PER_SECOND:>9.1f} s"
    else:
        target = targets.load(kind)
    python = f"{target.python.version}{', sent' if target.python.provided else ''}"
    line = f"{kind:<21}{target.machine:<10}{target.abi.libc:<13}{python:<15}{learned}"
    return f"{line}{proven(target, bench.folder, bench.package, bench) if bench.package else '-':>9}"


def learn(kind: str, bench: Bench) -> tuple[Target, float]:
    """Learn a kind of machine from a root that is made of packages; return the seconds without making it."""
    suite, architecture, *less = kind.split(":")
    root = root_of(suite, architecture, less, bench)
    began = time.perf_counter()
    named = Named(kind.replace(":", "-"), provided=SENT if less else None)
    learned = learn_root(named, root, bench.settings, bench.runner, lambda text: None)
    _, target = write_target(learned, bench.folder / "targets", replace=True)
    return target, time.perf_counter() - began


def root_of(suite: str, architecture: str, less: Sequence[str], bench: Bench) -> Path:
    """Return a root file system made of packages."""
    debian, short = Debian(architecture, bench.settings, bench.runner, suite=suite), PYTHONS[suite]
    python = (
        f"python{short}",
        f"python{short}-minimal",
        f"libpython{short}-minimal",
        f"libpython{short}-stdlib",
    )
    packages = {
        (): (*_C_LIBRARY, "python3-minimal", "python3-pip", *python),
        ("none",): _C_LIBRARY,
        ("musl",): ("base-files", "musl"),
    }[tuple(less)]

    def fill(temporary: Path) -> None:
        libraries = [] if less == ["musl"] else debian.shared_libraries(packages)
        debian.unpack([*packages, *(name for name in libraries if name not in packages)], temporary)

    folder = (
        bench.settings.cache
        / "test-roots"
        / digest_of(suite=suite, architecture=architecture, packages=packages)
    )
    return CachedFolder(folder, ["usr/lib/os-release"]).make(fill)


def proven(target: Target, folder: Path, package: str, bench: Bench) -> str:
    """Build a package for a target and prove it; return how long that took.

    Raises:
        BuildFailed: it could not be built, or not proven.
    """
    if target.python.provided:
        target_python(target, bench.settings, bench.runner)
    words = [
        "build",
        package,
        "--as-of",
        "2025-08-01",
        "--target",
        target.name,
        "--build-type",
        "packages-only",
        "--from-source",
    ]
    began = time.perf_counter()
    done = subprocess.run(
        [ROOT / ".venv/bin/crosswheel", *words], cwd=folder, capture_output=True, text=True, check=False
    )
    (folder / f"{target.name}.txt").write_text(done.stdout + done.stderr)
    if done.returncode == 0:
        return f"{time.perf_counter() - began:.0f} s"
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    raise BuildFailed(errors[0] if errors else f"exit code {done.returncode}", hint="read its output.")


def facts_alone(folder: Path) -> float:
    """Return the seconds in which this machine, asked over ssh, tells its facts."""
    with ssh_server(folder) as config:
        words: list[str | Path] = [
            "target",
            "learn",
            "itself",
            "--facts-only",
            "--robot",
            "itself",
            "--ssh-config",
            config,
        ]
        began = time.perf_counter()
        done = subprocess.run(
            [ROOT / ".venv/bin/crosswheel", *words], cwd=folder, capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        stop(f"this machine could not be asked:\n{done.stdout}{done.stderr}")
    return time.perf_counter() - began


@contextmanager
def ssh_server(folder: Path) -> Iterator[Path]:
    """Have OpenSSH's server answer on 127.0.0.1 meanwhile; yield a client's configuration that knows it as `itself`."""
    if not PROGRAM.exists():
        stop(f"there is no {PROGRAM}: install openssh-server")
    with sshd(folder) as port:
        (folder / "ssh_config").write_text(_SSH_CONFIG.format(port=port, folder=folder))
        yield folder / "ssh_config"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
