"""A job on this machine without network: a registry of one's own, this Python, and a target where nothing is run."""

from __future__ import annotations

import functools
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from crosswheel.check.system import System, described
from crosswheel.emulation.emulator import Emulator
from crosswheel.job.context import BuildContext, Trees
from crosswheel.process import Cancellation
from crosswheel.progress import display
from crosswheel.recipes.loader import Recipes, load_folder
from crosswheel.recipes.model import Recipe
from crosswheel.registry import Registry
from crosswheel.seals import Seals
from crosswheel.settings import Settings
from crosswheel.toolchain.compilers.zig import zig_compilers
from crosswheel.toolchain.environment import Toolchain
from crosswheel.toolchain.python.tree import PythonTree
from support.registries import LocalRegistry, local_registry
from support.releases import this_machine
from support.wheels import make_wheel


@dataclass(frozen=True)
class OfflineJob:
    """A context, the registry that it asks, and what it tells the user.

    The target's Python is the one that runs the tests, so that modules are compiled; there is no emulated one.
    """

    context: BuildContext
    registry: LocalRegistry
    printed: io.StringIO
    folder: Path

    def offer(
        self, name: str, version: str, files: dict[str, bytes] | None = None, **options: object
    ) -> Path:
        """Make a wheel, offer it in the registry and return it; ``options`` as for :func:`make_wheel`."""
        members = {f"{name}/__init__.py": b""} if files is None else files
        wheel = make_wheel(self.folder / "wheels", name, version, members, **options)  # type: ignore[arg-type]
        self.registry.add(wheel)
        return wheel

    def with_recipes(self, folder: Path) -> OfflineJob:
        """Return the same job with a folder of recipes."""
        return replace(self, context=replace(self.context, recipes=load_folder(folder, self.folder / "dist")))

    def root(self, name: str, version: str, *requirements: str) -> Recipe:
        """Return a root, as a recipe of the folder ``packages`` says it."""
        file = self.folder / "packages" / name / version / "build.py"
        return Recipe(name=name, version=version, file=file, requirements=requirements)


@functools.cache
def _system() -> System:
    return described(this_machine(), python=(), needed=(), copies={})


@contextmanager
def offline_job(folder: Path, **changes: object) -> Iterator[OfflineJob]:
    """Run a registry while the block lasts, and give a job that asks it; ``changes`` are of its context."""
    with local_registry(folder / "registry") as served:
        settings = Settings(
            cache=folder / "cache", github="", registry=served.url, sandbox="none", keys=folder / "keys"
        )
        printed, target = io.StringIO(), this_machine()
        with Registry(settings) as registry:
            context = BuildContext(
                target,
                Recipes(folder / "packages", (), {}),
                settings,
                Trees(folder / "build", folder / "dist", folder / "index"),
                registry,
                display(Console(file=printed, width=300), verbose=False),
                Cancellation(),
            )
            host = PythonTree(Path(sys.base_prefix), target.python.short)
            absent = PythonTree(folder / "no-python", target.python.short)
            compilers = zig_compilers(target, settings.cache)
            tools = {
                "toolchain": Toolchain(
                    target, settings, absent, host, compilers, folder / "identity", Path(sys.executable)
                ),
                "system": _system(),
                "seals": Seals(bytes(32)),
                "emulator": Emulator(folder / "no-qemu", folder, absent, "none"),
            }
            for name, tool in tools.items():
                context._single_flights.get(name, lambda tool=tool: tool)  # type: ignore[misc]
            yield OfflineJob(replace(context, **changes), served, printed, folder)  # type: ignore[arg-type]
