"""Releases made in a moment: real environments for the Python that runs the tests, and a robot that is this machine."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from crosswheel import targets
from crosswheel.deploy.release import Package, Release
from crosswheel.deploy.ssh import Address
from crosswheel.targets import Robot, Target

SITE = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
_LAUNCHER = """#!/bin/sh
launcher=$(readlink -f "$0")
exec "${launcher%/launchers/*}/bin/python3" -m hello "$@"
"""


def this_machine() -> Target:
    """Return a target that fits the Python that runs the tests."""
    ot2 = targets.load("ot2")
    python = ot2.python.model_copy(
        update={"version": platform.python_version(), "soabi": str(sysconfig.get_config_var("SOABI"))}
    )
    abi = ot2.abi.model_copy(update={"glibc": "2.17"})
    return ot2.model_copy(update={"machine": platform.machine(), "python": python, "abi": abi})


def release(
    folder: Path,
    version: str,
    *,
    more: Mapping[str, bytes] | None = None,
    test: str | None = "import hello",
    target: Target | None = None,
) -> Release:
    """Make a release of a program that says its version; ``more`` are further files, by path."""
    made_for = target or this_machine()
    site = f"lib/python{made_for.python.short}/site-packages"
    hello = folder / version / "hello"
    _write(hello / site / "hello.py", f"print('hello {version}')\n".encode())
    # Another package, the same in each version.
    other = folder / version / "other"
    for number in range(3):
        _write(other / site / "other" / f"part{number}.py", f"number = {number}\n".encode() * 500)
    for path, data in (more or {}).items():
        _write(hello / path, data)
    launchers = folder / version / "launchers"
    _write(launchers / "launchers" / "hello", _LAUNCHER.encode())
    (launchers / "launchers" / "hello").chmod(0o755)
    return Release(
        name="hello",
        program="hello",
        version=version,
        target=made_for,
        closure=(Package.read("hello", version, hello), Package.read("other", "1", other)),
        launchers=Package.read("launchers", version, launchers),
        programs=("hello",),
        test=(("bin/python3", "-c", test),) if test else (),
    )


@dataclass(frozen=True)
class Here(Address):
    """This machine as a robot: the agent is started by the shell, without ssh."""

    host: str = "here"

    def command(self, *words: str) -> list[str]:
        """Return the words that start the agent."""
        assert words[0] == "python3"
        return [sys.executable, *words[1:]]


def place(folder: Path) -> Robot:
    """Return where environments go: below ``folder``."""
    return Robot(store=str(folder / "store"), programs=str(folder / "programs"))


def says(folder: Path) -> str | None:
    """Return what the installed program says; ``None`` where there is none."""
    program = folder / "programs" / "hello"
    if not os.path.exists(program):  # noqa: PTH110 - a link to nowhere is no program
        return None
    done = subprocess.run([str(program)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
