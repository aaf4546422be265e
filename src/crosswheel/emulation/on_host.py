"""Run this machine's own Python in the place of the emulated one of a target, with the same sandbox and variables."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from crosswheel import targets
from crosswheel.emulation.emulator import Emulator
from crosswheel.emulation.standard_library import completed
from crosswheel.errors import TargetError
from crosswheel.process import Runner, Word
from crosswheel.sandbox.levels import find_sandbox
from crosswheel.sandbox.view import View, cache_paths
from crosswheel.settings import Settings
from crosswheel.targets import Target
from crosswheel.toolchain.python.choosing import host_python


@dataclass(frozen=True)
class OnHost(Emulator):
    """Runs a Python of this machine, which nothing emulates."""

    def command(
        self, *words: Word, environment: Mapping[str, str] | None = None, program: Path | None = None
    ) -> list[str]:
        """Return the command line that runs it with the given arguments."""
        variables = (f"{name}={value}" for name, value in (environment or {}).items())
        return ["env", *variables, str(program or self.python.executable), *map(str, words)]


def on_host(target: Target, settings: Settings, runner: Runner) -> OnHost:
    """Return what runs a Python of the target's version here, with the modules that the emulated one is given, too.

    Raises:
        TargetError: there is none for this machine.
        NetworkError: it cannot be fetched.
    """
    python = host_python(target, settings, runner)
    with contextlib.suppress(TargetError):  # no such machine is known: it runs with what it has
        python = completed(python, _target_of_host(target), settings, runner)[0]
    nothing, sandbox = Path(os.devnull), find_sandbox(settings.sandbox)
    return OnHost(nothing, nothing, python, "", sandbox=sandbox, view=View(cache_paths(settings.cache)))


def _target_of_host(target: Target) -> Target:
    """Return the target that this machine is of, with the Python of another one.

    Raises:
        TargetError: no target is known for such machines.
    """
    like = targets.load(f"linux-{os.uname().machine.replace('_', '-')}")
    numbers = "".join(map(str, target.python.numbers))
    python = target.python.model_copy(update={"soabi": f"cpython-{numbers}-{like.multiarch}"})
    return like.model_copy(update={"python": python})
