"""A look-alike of the robot: the target's own Python, emulated, with the target's own pip."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from crosswheel.emulation.emulator import Emulator, emulator_for
from crosswheel.process import Result, Runner, Word
from crosswheel.registry import Registry
from crosswheel.settings import Settings
from crosswheel.targets import Target
from crosswheel.toolchain.python.tree import PythonTree
from crosswheel.uv import Uv

# What pip asks about the C library (PEP 600). The emulated one is newer than the robot's.
_MANYLINUX = """
def manylinux_compatible(major, minor, arch):
    return (major, minor) <= ({major}, {minor})
"""
# Nothing listens on port 9: whoever wants to leave the machine is refused.
_LOOPBACK_ONLY = {
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9"),
    **dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1"),
}


@dataclass(frozen=True)
class Robot:
    """An emulated target with an environment for one program on ``/var``, where its user may write.

    pip is the target's own version and lies with the image, outside of the environment, as on the robot, which has no
    ensurepip. It is like the robot in Python's version and ABI and in pip's; wheels for a newer C library are
    refused. It differs: the emulated C library *is* newer, so that loading proves nothing about symbols; the
    image's other packages are absent; and pip is started in the environment instead of with ``pip --python``,
    because an emulated program cannot start another.

    Attributes:
        emulator: runs the environment's Python.
        libraries: the folder of the shared libraries that this Python brings along.
        image: the folder of what the image has: pip.
        var: the folder where the user may write.
        runner: starts it; its log has all that was done.
    """

    emulator: Emulator
    libraries: Path
    image: Path
    var: Path
    runner: Runner

    def python(
        self,
        *words: Word,
        environment: Mapping[str, str] | None = None,
        timeout: float = 1800,
        check: bool = True,
    ) -> Result:
        """Run Python with arguments, to its end; further variables may be given. Only loopback is reachable."""
        variables = {
            "LD_LIBRARY_PATH": str(self.libraries),
            "PYTHONPATH": str(self.image),
            "PYTHONNOUSERSITE": "1",
            "PYTHONFAULTHANDLER": "1",
            "PIP_CONFIG_FILE": "/dev/null",  # not what this machine's pip is told
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "DO_NOT_TRACK": "1",
            **_LOOPBACK_ONLY,
            **(environment or {}),
        }
        return self.emulator.run(
            self.runner,
            words,
            environment=variables,
            cwd=self.var,
            timeout=timeout,
            network=True,  # an empty network namespace has no way to servers on this machine
            check=check,
        )

    def pip_install(self, *words: Word, index: str, check: bool = True) -> Installation:
        """Install with pip from one index, wheels only."""
        report = self.var / "report.json"
        report.unlink(missing_ok=True)
        result = self.python(
            *("-m", "pip", "install", "--only-binary", ":all:", "--no-cache-dir", "--report", report),
            *("--index-url", index, *words),
            check=check,
        )
        installed = json.loads(report.read_text())["install"] if report.is_file() else []
        return Installation(result, tuple(map(Installed.of, installed)))


@dataclass(frozen=True)
class Installed:
    """One package of pip's installation report: what was installed, and from where."""

    name: str
    version: str
    url: str

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> Installed:
        """Read an item of the report."""
        download, metadata = item["download_info"], item["metadata"]
        return cls(canonicalize_name(metadata["name"]), metadata["version"], download["url"])


@dataclass(frozen=True)
class Installation:
    """How pip ended, and what it says it installed."""

    result: Result
    packages: Sequence[Installed]


def robot_for(target: Target, folder: Path, settings: Settings, runner: Runner) -> Robot:
    """Make a look-alike of a target in a folder, with an empty environment."""
    var = folder / "var"
    var.mkdir()
    image = _install_pip(target, folder / "image", settings, runner)
    emulator = emulator_for(target, settings, runner)
    emulator.run(runner, ["-m", "venv", "--without-pip", var / "environment"], cwd=var)
    inside = replace(emulator, python=PythonTree(var / "environment", target.python.short))
    return Robot(inside, emulator.python.root, image, var, runner)


def _install_pip(target: Target, image: Path, settings: Settings, runner: Runner) -> Path:
    with Registry(settings) as registry:
        files = registry.release_files("pip", target.python.pip)
        wheel = registry.fetch(next(file for file in files if file.kind == "wheel"))
    site = Uv(settings, runner).install_wheel(wheel, image, python=Path(sys.executable))
    major, minor = target.abi.glibc.split(".")
    (site / "_manylinux.py").write_text(_MANYLINUX.format(major=major, minor=minor))
    return site
