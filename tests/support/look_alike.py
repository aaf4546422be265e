"""The look-alike robot of `crosswheel robot-sim`, and what there is to compare of its image."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from crosswheel import targets
from crosswheel.files import sha256_of
from crosswheel.process import Runner
from crosswheel.settings import Settings
from crosswheel.simulator.image import LookAlikeImage, image_for
from crosswheel.simulator.look_alike import ALIAS, Simulation
from crosswheel.toolchain.host_programs import look_alike_fault

# What the robot's server imports, as far as the look-alike has it whole; tells where each is from.
SERVER = (
    "import fastapi, pydantic, starlette, anyio, uvicorn, jsonschema, click; "
    "print(*(m.__file__ for m in (fastapi, pydantic, starlette, anyio, uvicorn, jsonschema, click)), pydantic.VERSION)"
)


def image(folder: Path) -> LookAlikeImage:
    """Return the image; skip the test where this user cannot start it."""
    fault = look_alike_fault()
    if fault:
        pytest.skip(str(fault))
    return image_for(targets.load("ot2"), Settings.from_environment(), Runner(log=folder / "log.txt"))


def ssh(simulation: Simulation, command: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a command on the robot, as a login does."""
    words = ["ssh", "-F", str(simulation.ssh_config), ALIAS, f". /etc/profile; {command}"]
    return subprocess.run(words, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload,no-any-return]


def files_of(root: Path) -> dict[str, tuple[int, int, str]]:
    """Return size, permissions and hash of every file of an image."""
    found = {}
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.is_symlink():
            status = path.stat()
            found[str(path)] = (status.st_size, status.st_mode, sha256_of(path))
    return found
