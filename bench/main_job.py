"""How long is the whole main job from empty caches, beside what a native ``pip wheel`` takes for what it built?

A fresh clone of this checkout's last commit runs ./build-packages with empty caches: environment, downloads,
builds, audits, emulated tests, index. Then pip builds the packages that were built there, natively: the same
versions, the same build requirements, a Python of the same version, gcc and rustc, no cache. Last, ./build-packages
runs a second time, with the compiler taken away.

With --profile, the main job runs alone, and the processor time of each kind of work is shown.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from _measure import ROOT, machine, require_headers, say, show, stop, timed, usual_environment, workspace
from packaging.utils import parse_wheel_filename

from crosswheel import targets
from crosswheel.process import Runner
from crosswheel.recipes.loader import load_folder
from crosswheel.settings import Settings
from crosswheel.toolchain.python.choosing import host_python
from crosswheel.uv import Uv
from crosswheel.wheels.proof import SUFFIX, Proof

_GOAL_RATIO, _GOAL_SHARE = 1.0, 0.005
# By a pattern of the command, what work it is: the first that fits.
_KINDS = {
    r"import_all\.py": "imports under emulation",
    r"as_kernel\.py .*/trial": "tests under emulation",
    r"as_kernel\.py|qemu-": "other emulated programs",
    r"_in_process\.py (\w+)": "build backends: {}",
    r"compiling\.py": "modules compiled for the audit",
    r"^\S*/uv ((?:pip )?\w+)": "uv {}",
    r"^\S*(apt-get|apt-cache|dpkg)": "Debian's packages",
    r"^\S*(perl|make|sh|cc|c\+\+|ar)\b": "toolchain and C libraries",
    r"^(\S+)": "other programs",
}
# What a native build finds on a developer's machine, and a cross build brings itself.
_HEADERS = {"openssl/ssl.h": "libssl-dev", "ffi.h": "libffi-dev", "yaml.h": "libyaml-dev"}


@dataclass(frozen=True)
class Package:
    """A package that the main job built: with what, and in how many seconds."""

    name: str
    version: str
    build_requirements: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class MainJob:
    """A fresh clone with caches of its own.

    Attributes:
        folder: holds the checkout, the caches and the logs.
    """

    folder: Path

    @property
    def checkout(self) -> Path:
        return self.folder / "checkout"

    @property
    def environment(self) -> Mapping[str, str]:
        own = {
            name: value
            for name, value in usual_environment().items()
            if name not in ("VIRTUAL_ENV", "PYTHONPATH")
        }
        caches = {
            "CROSSWHEEL_CACHE": str(self.folder / "cache"),
            "UV_CACHE_DIR": str(self.folder / "uv"),
            "PIP_NO_CACHE_DIR": "1",
        }
        return {**own, **caches}

    def clone(self) -> None:
        timed(["git", "clone", "--quiet", ROOT, self.checkout], self.folder / "clone.log", env=os.environ)

    def run(self, what: str, *options: str) -> float:
        log = self.folder / f"{what.replace(' ', '-')}.log"
        command = [str(self.checkout / "build-packages"), *options]
        seconds = timed(command, log, cwd=self.checkout, env=self.environment)
        say(f"the main job, {what}: {seconds:.1f} s")
        return seconds

    def built(self) -> list[Package]:
        proofs = (
            Proof.model_validate_json(path.read_text())
            for path in sorted((self.checkout / "dist").glob(f"*/*/*{SUFFIX}"))
        )
        return [
            Package(name, str(version), proof.build_requirements, proof.seconds)
            for proof in proofs
            if proof.origin == "built"
            for name, version, _, _ in [parse_wheel_filename(proof.wheel)]
            if version.local is None  # else it holds others, and has no sources of its own
        ]

    @contextmanager
    def without_compiler(self) -> Iterator[None]:
        """Take zig away: what runs now cannot compile."""
        (zig,) = self.checkout.glob(".venv/lib/python*/site-packages/ziglang/zig")
        away = zig.rename(zig.with_name("zig-away"))
        try:
            yield
        finally:
            away.rename(zig)

    def processor_seconds(self) -> Iterator[tuple[str, float]]:
        """Yield each command in the logs with the processor time of all that it started."""
        for log in sorted((self.checkout / "build").rglob("*.log")):
            for line in log.read_text(errors="replace").splitlines():
                used = re.fullmatch(r"# ([\d.]+) s of processor time: (.*)", line)
                if used:
                    yield used[2], float(used[1])

    def log_sizes(self) -> Mapping[Path, int]:
        return {log: log.stat().st_size for log in (self.checkout / "build").rglob("*.log")}

    def programs_since(self, sizes: Mapping[Path, int]) -> Counter[str]:
        """Return the programs that were started since the logs had these sizes, each with how often."""
        started: Counter[str] = Counter()
        for log in self.log_sizes():
            lines = log.read_bytes()[sizes.get(log, 0) :].decode(errors="replace").splitlines()
            commands = (line[2:].split()[:2] for line in lines if line.startswith("$ "))
            started.update(" ".join([Path(program).name, *option]) for program, *option in commands)
        return started


def native_seconds(packages: Sequence[Package], folder: Path) -> Mapping[str, float]:
    """Build packages natively with pip, one after the other; return the seconds of each."""
    require_headers(_HEADERS)
    settings = Settings.from_environment({**os.environ, "CROSSWHEEL_CACHE": str(folder / "cache")})
    host = host_python(targets.load("ot2"), settings)
    python = folder / "venv" / "bin" / "python"
    Uv(settings, Runner()).venv(folder / "venv", python=host.executable)
    uv = Path(sys.executable).with_name("uv")
    timed([uv, "pip", "install", "--quiet", "--python", python, "pip"], folder / "pip.log", env=os.environ)
    recipes = load_folder(ROOT / "packages", folder / "dist")
    environment = {**usual_environment(), "CC": "gcc", "CXX": "g++", "CARGO_HOME": str(folder / "cargo")}
    found = {}
    for package in packages:
        recipe = recipes.for_package(package.name, package.version)
        constraint = folder / "constraints" / f"{package.name}.txt"
        constraint.parent.mkdir(parents=True, exist_ok=True)
        constraint.write_text("".join(f"{line}\n" for line in package.build_requirements))
        words = ["wheel", "--no-deps", "--no-cache-dir", "--no-binary", package.name]
        words += ["--build-constraint", str(constraint), "--wheel-dir", str(folder / "wheels")]
        found[package.name] = timed(
            [python, "-m", "pip", *words, f"{package.name}=={package.version}"],
            folder / "logs" / f"{package.name}.log",
            env={**environment, **(recipe.environment if recipe else {})},
        )
        say(f"natively, {package.name} {package.version}: {found[package.name]:.1f} s")
    return found


def kind_of(command: str) -> str:
    """Return what kind of work a command is."""
    kinds = ((re.search(pattern, command), kind) for pattern, kind in _KINDS.items())
    return next((kind.format(*match.groups()) for match, kind in kinds if match), "other programs")


def profile(folder: Path) -> None:
    """Run the main job alone from empty caches; print the processor time by kind of work."""
    where = machine()
    job = MainJob(folder)
    job.clone()
    prepare, first = (
        _processor_seconds(job, *words) for words in (("environment", "--help"), ("first run",))
    )
    used, times = defaultdict[str, float](float), Counter[str]()
    for command, seconds in job.processor_seconds():
        used[kind_of(command)] += seconds
        times[kind_of(command)] += 1
    dearest = sorted(used, key=used.__getitem__, reverse=True)
    rows = [(kind, used[kind], str(times[kind])) for kind in dearest]
    rows += [("crosswheel itself", first - sum(used.values()), ""), ("its environment", prepare, "")]
    whole = prepare + first
    shown = [
        [kind, f"{seconds:.1f} s", f"{100 * seconds / whole:.1f} %", count] for kind, seconds, count in rows
    ]
    print(f"\n{where}\n")
    show(
        f"The main job from empty caches: {whole:.0f} seconds of processor time",
        ["work", "processor time", "share", "programs"],
        shown,
        right=("processor time", "share", "programs"),
    )


def _processor_seconds(job: MainJob, what: str, *options: str) -> float:
    began = resource.getrusage(resource.RUSAGE_CHILDREN)
    job.run(what, *options)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime


def measure(folder: Path) -> None:
    """Measure all ways and print the results."""
    where = machine()
    job = MainJob(folder)
    job.clone()
    prepare, first = job.run("environment", "--help"), job.run("first run")
    packages = job.built()
    if not packages:
        stop("the main job built nothing, so there is nothing to compare with")
    native = native_seconds(packages, folder / "native")
    sizes = job.log_sizes()
    with job.without_compiler():
        second = job.run("second run")
    whole, limit = prepare + first, sum(native.values())
    print(f"\n{where}\n")
    rows = [[p.name, p.version, f"{p.seconds:.1f}", f"{native[p.name]:.1f}"] for p in packages]
    show(
        "Each package built, in seconds (cross: several at once; native: one after the other)",
        ["package", "version", "cross", "native"],
        rows,
        right=("cross", "native"),
    )
    rows = [
        ["fresh clone: its environment", f"{prepare:.1f} s", ""],
        ["fresh clone: ./build-packages", f"{first:.1f} s", ""],
        ["the main job", f"{whole:.1f} s", ""],
        [f"native pip wheel of the {len(packages)} packages that it built", f"{limit:.1f} s", ""],
        ["the main job / native", f"{whole / limit:.2f} x", f"at most {_GOAL_RATIO} x"],
        ["second run, nothing changed", f"{second:.2f} s", ""],
        ["second run / first run", f"{100 * second / first:.2f} %", f"under {100 * _GOAL_SHARE} %"],
    ]
    show("The main job from empty caches", ["what", "measured", "goal"], rows, right=("measured",))
    started = ", ".join(f"{name} ({count} x)" for name, count in sorted(job.programs_since(sizes).items()))
    print("The second run had no compiler to start: zig was taken away before it.")
    print(f"Programs that it started: {started or 'none'}.")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="bench/main-job", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="work in this folder, which must be empty, and keep it")
    parser.add_argument("--profile", action="store_true", help="show what uses processor time instead")
    given = parser.parse_args(arguments)
    with workspace(given.folder) as folder:
        (profile if given.profile else measure)(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
