"""A machine's own Python, running here with the machine's own loader and libraries."""

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
    """Return what runs the Python of a userland, of which nothing else is known yet.

    Args:
        qemu: the suffix of ``qemu-…-static``.
        cpu: the CPU that it presents.

    Raises:
        MissingToolError, NetworkError: qemu can be had neither on this machine nor from Debian.
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
