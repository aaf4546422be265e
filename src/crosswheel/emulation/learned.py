"""Run a machine's own Python here, with the machine's own loader and libraries."""

from __future__ import annotations

from crosswheel.emulation.emulator import Emulator, qemu_program
from crosswheel.process import Runner
from crosswheel.sandbox.levels import find_sandbox
from crosswheel.sandbox.view import View, cache_paths
from crosswheel.settings import Settings
from crosswheel.toolchain.python.tree import PythonTree
from crosswheel.userlands import Userland


def emulated_userland(
    userland: Userland, python: str, qemu: str, cpu: str, settings: Settings, runner: Runner
) -> Emulator:
    """Return an emulator for the Python of a userland about which nothing else is known yet.

    Args:
        qemu: the suffix of ``qemu-…-static``.
        cpu: the CPU that it presents.

    Raises:
        MissingToolError, NetworkError: qemu is neither installed nor available from Debian.
    """
    program, interpreter = qemu_program(qemu, settings, runner), userland.path(python)
    return Emulator(
        program,
        userland.root,
        PythonTree(interpreter.parent.parent, "", program=interpreter),
        "",
        machine=("-cpu", cpu),
        sandbox=find_sandbox(settings.sandbox),
        view=View((*cache_paths(settings.cache), program.parent)),
        userland=userland.digest,
    )
