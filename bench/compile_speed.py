"""How fast are C, C++ and Cython compiled for a target, beside gcc for this machine and gcc under emulation?

Builds the wheels of ujson (C++), regex (C) and asyncpg (Cython) from the same sources, with the same build
requirements and the same flags, and times only the call of the build backend. Cross and native take turns;
medians are compared. Under emulation a Debian of the target runs, with its own gcc.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from _emulated import EmulatedDebian, why_not
from _measure import ROOT, machine, say, show, workspace
from pyproject_hooks import BuildBackendWarning

from crosswheel import targets
from crosswheel.build import Backend
from crosswheel.build import requirements as build_requirements
from crosswheel.build.requirements import LockedRequirements
from crosswheel.emulation.emulator import emulator_for
from crosswheel.process import Runner
from crosswheel.registry import Registry
from crosswheel.sandbox.levels import Sandbox
from crosswheel.settings import Settings
from crosswheel.sources.archive import unpack
from crosswheel.sources.prepare import pin_version
from crosswheel.targets import Target
from crosswheel.toolchain.compilers.zig import zig_compilers
from crosswheel.toolchain.environment import CrossEnvironment, Toolchain, cross_environment, toolchain_for
from crosswheel.uv import Uv

_PACKAGES = {"ujson": "5.10.0", "regex": "2024.11.6", "asyncpg": "0.30.0"}
_LOCKS = ROOT / "packages" / "prefect" / "3.3.4"
_GOAL_NATIVE, _GOAL_EMULATED = 1.0, 10.0
_HEADLINE = "Seconds for a wheel, by the build backend alone: median (lowest to highest)"


Seconds = dict[tuple[str, str], list[float]]
"""By package and way, the seconds of each turn."""


@dataclass(frozen=True)
class Package:
    """A source tree, the host environment with its build backend, and what tells it its version."""

    name: str
    tree: Path
    venv: Path
    locked: LockedRequirements
    variables: Mapping[str, str]
    sandbox: Sandbox

    def seconds(self, environment: CrossEnvironment, folder: Path) -> float:
        """Build the wheel from a fresh copy of the tree, and return how long the build backend took."""
        tree = folder / "tree"
        shutil.copytree(self.tree, tree, symlinks=True)
        system = build_requirements.build_system(tree, None)
        runner = Runner(log=folder / "build.log")
        backend = Backend(system, tree, self.venv, environment, self.variables, runner, self.sandbox)
        (folder / "wheel").mkdir()
        began = time.perf_counter()
        backend.build_wheel(folder / "wheel", {})
        return time.perf_counter() - began


def prepared(name: str, toolchain: Toolchain, folder: Path) -> Package:
    """Fetch and unpack a package's sdist, and install its build requirements as they are locked."""
    settings = toolchain.settings
    with Registry(settings) as registry:
        files = registry.release_files(name, _PACKAGES[name])
        archive = registry.fetch(next(file for file in files if file.kind == "sdist"))
    tree = unpack(archive, folder / name / "source")
    locked = build_requirements.read(_LOCKS / f"{toolchain.target.name}.build" / f"{name}.txt")
    assert locked is not None, f"{name} has no locked build requirements"
    uv, venv = Uv(settings, Runner()), folder / name / "venv"
    uv.venv(venv, python=toolchain.host.executable)
    uv.install_locked(locked.file, python=venv / "bin" / "python")
    return Package(name, tree, venv, locked, pin_version(tree, _PACKAGES[name]), toolchain.sandbox)


def warm_zig(toolchain: Toolchain, folder: Path) -> float:
    """Let zig make the C and C++ libraries of the target, which it does once; return the seconds."""
    folder.mkdir(parents=True)
    (folder / "empty.c").write_text("#include <math.h>\nint answer(void) { return 42; }\n")
    (folder / "empty.cpp").write_text("#include <string>\nstd::string answer() { return {}; }\n")
    began = time.perf_counter()
    for compiler, source in (("cc", "empty.c"), ("c++", "empty.cpp")):
        words = [str(toolchain.compilers.folder / compiler), "-shared", "-fPIC", source, "-o", f"{source}.so"]
        Runner().run(
            words, cwd=folder, env={**os.environ, **zig_compilers(toolchain.target, folder).environment}
        )
    return time.perf_counter() - began


def native_environment(toolchain: Toolchain) -> CrossEnvironment:
    """Return the environment of a native build by gcc, with the flags that the target's view has."""
    asked = "import sysconfig; print(sysconfig.get_config_var('CFLAGS'))"
    flags = subprocess.run([toolchain.interpreter, "-c", asked], capture_output=True, text=True, check=True)
    compilers = {"CC": "gcc", "CXX": "g++", "LDSHARED": "gcc -shared", "LDCXXSHARED": "g++ -shared"}
    view = toolchain.compilers.view(toolchain.settings.cache)
    return CrossEnvironment({**compilers, "CFLAGS": f"{flags.stdout.strip()} -g0"}, {}, view=view)


def cross_seconds(
    package: Package, plain: CrossEnvironment, target: Target, warm: Path, folder: Path
) -> float:
    """Build a wheel for the target; zig finds what :func:`warm_zig` made, and nothing of an earlier turn."""
    shutil.copytree(warm / "zig", folder / "zig", symlinks=True)
    variables = {**plain.variables, **zig_compilers(target, folder).environment}
    view = plain.view.writing([folder])
    return package.seconds(replace(plain, variables=variables, view=view), folder)


def turns(packages: Sequence[Package], toolchain: Toolchain, warm: Path, folder: Path, count: int) -> Seconds:
    """Build every package natively and for the target, taking turns; who begins alternates as well."""
    native = native_environment(toolchain)
    emulator = emulator_for(toolchain.target, toolchain.settings, Runner())
    cross = cross_environment(toolchain, emulator.prefix, Runner())
    found: Seconds = {(package.name, way): [] for package in packages for way in ("native", "cross")}
    for turn in range(count):
        for package in packages:
            for way in ("native", "cross") if turn % 2 == 0 else ("cross", "native"):
                here = folder / f"{turn}-{package.name}-{way}"
                here.mkdir(parents=True)
                seconds = (
                    package.seconds(native, here)
                    if way == "native"
                    else cross_seconds(package, cross, toolchain.target, warm, here)
                )
                say(f"turn {turn + 1} of {count}: {package.name}, {way}: {seconds:.1f} s")
                found[package.name, way].append(seconds)
                shutil.rmtree(here)
    return found


def emulated_seconds(packages: Sequence[Package], toolchain: Toolchain, folder: Path, count: int) -> Seconds:
    """Build every package with the target's own gcc, under emulation."""
    found: Seconds = {}
    flags = native_environment(toolchain).variables["CFLAGS"]
    debian = EmulatedDebian.unpacked(toolchain, folder, Runner())
    for package in packages:
        variables = {**package.variables, "CFLAGS": flags}
        for turn in range(count):
            seconds = debian.build(package.name, package.tree, package.locked.file, variables)
            say(f"under emulation, {turn + 1} of {count}: {package.name}: {seconds:.1f} s")
            found.setdefault((package.name, "emulated"), []).append(seconds)
    return found


def report(found: Seconds, warm: float, target: Target) -> None:
    """Print what was measured, and the ratios."""
    ways = ["native", "cross", *sorted({way for _, way in found} - {"native", "cross"})]
    totals = {way: sum(statistics.median(found[name, way]) for name in _PACKAGES) for way in ways}
    rows = [
        [f"{name} {version}", *(_spread(found[name, way]) for way in ways)]
        for name, version in _PACKAGES.items()
    ]
    rows.append(["sum of medians", *(f"{totals[way]:.1f}" for way in ways)])
    show(_HEADLINE, ["package", *ways], rows, right=ways)
    ratios = [
        ["cross / native gcc", f"{totals['cross'] / totals['native']:.2f} x", f"at most {_GOAL_NATIVE} x"]
    ]
    if "emulated" in totals:
        ratio = totals["emulated"] / totals["cross"]
        ratios.append(["gcc under emulation / cross", f"{ratio:.1f} x", f"at least {_GOAL_EMULATED:.0f} x"])
    show("Ratios", ["what", "measured", "goal"], ratios, right=("measured",))
    print(
        f"Not included: the C and C++ libraries of {target.name}, which zig makes once for each cache: {warm:.1f} s."
    )


def _spread(seconds: Sequence[float]) -> str:
    if len(seconds) == 1:
        return f"{seconds[0]:.1f}"
    return f"{statistics.median(seconds):.1f} ({min(seconds):.1f} to {max(seconds):.1f})"


def measure(folder: Path, target: Target, count: int, emulated: int) -> None:
    """Measure all ways and print the results."""
    where = machine()
    toolchain = toolchain_for(target, Settings.from_environment())
    packages = [prepared(name, toolchain, folder / "packages") for name in _PACKAGES]
    warm = folder / "warm"
    once = warm_zig(toolchain, warm)
    found = turns(packages, toolchain, warm, folder / "turns", count)
    reason = why_not(toolchain) if emulated else "it was not asked for"
    if reason is None:
        found.update(emulated_seconds(packages, toolchain, folder / "debian", emulated))
    print(f"\n{where}\n")
    report(found, once, target)
    if reason is not None:
        print(f"gcc under emulation was not measured: {reason}.")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="bench/compile", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("-n", type=int, default=5, help="turns of cross and native (5)")
    parser.add_argument(
        "--emulated", type=int, default=1, metavar="N", help="turns under emulation (1); 0: none"
    )
    parser.add_argument("--target", default="ot2", help="the machine to compile for (ot2)")
    parser.add_argument("--folder", type=Path, help="work in this folder, which must be empty, and keep it")
    given = parser.parse_args(arguments)
    warnings.simplefilter("ignore", BuildBackendWarning)  # for the authors of what is built
    with workspace(given.folder) as folder:
        measure(folder, targets.load(given.target), given.n, given.emulated)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
