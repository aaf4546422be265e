"""A real toolchain for a robot, with the user's own cache: nothing is downloaded twice."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from crosswheel import targets
from crosswheel.build import Project, build_wheel, prepare
from crosswheel.build import requirements as build_requirements
from crosswheel.build.requirements import LockedRequirements
from crosswheel.check.system import System, system_of
from crosswheel.emulation.emulator import Emulator, emulator_for
from crosswheel.emulation.verification import verify
from crosswheel.process import Result, Runner
from crosswheel.recipes.model import Recipe
from crosswheel.settings import Settings
from crosswheel.sources.prepare import pin_version
from crosswheel.targets import Target
from crosswheel.toolchain.compilers.cxx import make_cxx_library, needs_cxx
from crosswheel.toolchain.compilers.fortran import needs_fortran
from crosswheel.toolchain.compilers.rust import rust_for
from crosswheel.toolchain.compilers.sdk import open_sdk
from crosswheel.toolchain.environment import CrossEnvironment, Toolchain, cross_environment, toolchain_for
from crosswheel.uv import Uv, site_of
from support.projects import Files, write_tree

AS_OF = datetime.date(2025, 4, 25)
# What of the cache is tools, and takes long to fetch or make; the rest is what was built with them.
_TOOLS = ("cargo", "debian", "fortran", "python", "qemu-user", "roots", "rust", "zig")


def warm_cache(folder: Path) -> Path:
    """Make a cache that has the tools of the user's own, and nothing that was made with them."""
    settings = Settings.from_environment()
    # They have to be there: a test's own registry does not have what they are made of.
    emulator_for(targets.load("ot2"), settings, Runner())
    toolchain_for(targets.load("ot2"), settings)
    own = settings.cache
    folder.mkdir(parents=True)
    for name in _TOOLS:
        (own / name).mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(own / name)
    return folder


def musl_here() -> Target:
    """Return a target of this machine's own kind, with an older musl than the compiler's as its C library."""
    machine = os.uname().machine
    glibc = targets.load(f"linux-{machine.replace('_', '-')}")
    abi = glibc.abi.model_copy(update={"glibc": "", "oldest_glibc": "", "musl": "1.2.3"})
    toolchain = glibc.toolchain.model_copy(update={"zig": f"{machine}-linux-musl"})
    return glibc.model_copy(update={"abi": abi, "toolchain": toolchain})


@dataclass(frozen=True)
class Crossing:
    """Builds for a target in a folder of its own, and runs there what was built."""

    toolchain: Toolchain
    emulator: Emulator
    folder: Path

    @property
    def target(self) -> Target:
        return self.toolchain.target

    @property
    def settings(self) -> Settings:
        return self.toolchain.settings

    @property
    def system(self) -> System:
        """What the target offers to what is loaded there."""
        tools = self.toolchain
        return system_of(self.target, tools.python, self.emulator.root, tools.sysroot)

    @property
    def runner(self) -> Runner:
        """The runner of everything here; its log is ``log``."""
        return Runner(log=self.folder / "log")

    def environment(
        self, *, libraries: Sequence[str] = (), rust: bool = False, fortran: bool = False, cxx: bool = False
    ) -> CrossEnvironment:
        if cxx:
            make_cxx_library(self.toolchain.compilers, self.settings.cache, self.runner)
        return cross_environment(
            self.toolchain,
            self.emulator.prefix,
            self.runner,
            libraries=libraries,
            rust=rust_for(self.target, self.settings, self.runner) if rust else None,
            fortran=fortran,
            cxx=cxx,
        )

    def in_folder(self, folder: Path) -> Crossing:
        """Return the same in another folder."""
        return replace(self, folder=folder)

    def build(self, files: Files, *, said: Mapping[str, object] | None = None) -> Path:
        """Build the project ``demo`` 1.0 from its files, as the recipe ``said``; return the wheel."""
        tree = write_tree(self.folder / "unpack" / "demo-1.0", files)
        recipe = (
            Recipe.model_validate({"name": "demo", "file": self.folder / "build.py", **said})
            if said
            else None
        )
        project = Project("demo", "1.0", tree, self.folder, recipe, pin_version(tree, "1.0"))
        uv = Uv(self.settings, self.runner)

        def resolve(wanted: list[str]) -> LockedRequirements:
            file, python = self.folder / "requirements.txt", self.toolchain.host.executable
            return build_requirements.resolve(wanted, file, python=python, as_of=AS_OF, uv=uv)

        backend, locked = prepare(
            project,
            resolve,
            lambda locked: self.environment(
                libraries=recipe.libraries if recipe else (),
                rust=locked.needs_rust,
                fortran=needs_fortran(tree),
                cxx=needs_cxx(tree),
            ),
            self.toolchain,
            uv,
            self.runner,
        )
        return build_wheel(project, backend, locked, self.target, lambda step: None).wheel

    def run(self, program: str, wheel: Path | None = None, *, check: bool = True) -> Result:
        """Run a Python program on the emulated target, with a wheel installed."""
        prefix, environment = self.folder / "installed", {}
        if wheel is not None:
            Uv(self.settings, self.runner).install_wheel(wheel, prefix, python=self.toolchain.interpreter)
        if prefix.is_dir():
            environment = {"PYTHONPATH": str(site_of(prefix))}
        return self.emulator.run(
            self.runner, ["-c", program], environment=environment, cwd=self.folder, check=check
        )


def crossing_for(folder: Path, target: str = "ot2", *, sdk: Path | None = None) -> Crossing:
    """Return a crossing with the user's own settings, and so their cache; its view is verified.

    Args:
        sdk: a Buildroot SDK to compile with instead of zig.
    """
    chosen, settings = targets.load(target), Settings.from_environment()
    runner = Runner(log=folder / "log")
    emulator = emulator_for(chosen, settings, runner)
    opened = open_sdk(sdk, chosen, settings, runner) if sdk else None
    crossing = Crossing(toolchain_for(chosen, settings, sdk=opened), emulator, folder)
    verify(crossing.toolchain, crossing.environment(), emulator, crossing.runner)
    return crossing
