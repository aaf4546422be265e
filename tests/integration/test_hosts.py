"""Every tool can be had on each kind of machine that crosswheel runs on, whichever of them runs these tests."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from crosswheel import targets
from crosswheel.debian import Debian
from crosswheel.errors import CrosswheelError
from crosswheel.process import Runner
from crosswheel.settings import Settings
from crosswheel.targets import Target
from crosswheel.toolchain.compilers.fortran import compiler_packages
from crosswheel.toolchain.compilers.rust import newest_common

HOSTS = {"amd64": "x86_64", "arm64": "aarch64"}
REQUIREMENTS = Path(__file__).parents[2] / "requirements" / "run.txt"


@cache
def debian(architecture: str, suite: str = "bookworm") -> Debian:
    return Debian(architecture, Settings.from_environment(), Runner(), suite=suite)


def every_target() -> list[Target]:
    return [targets.load(name) for name in targets.names()]


@pytest.mark.parametrize("machine", HOSTS.values())
def test_all_that_crosswheel_requires_has_wheels_for_the_host(machine: str, tmp_path: Path) -> None:
    uv = Path(sys.executable).with_name("uv")
    words = ["pip", "install", "--dry-run", "--no-deps", "--only-binary", ":all:", "--require-hashes"]
    words += [
        "--python-platform",
        f"{machine}-manylinux_2_28",
        "--target",
        str(tmp_path),
        "-r",
        str(REQUIREMENTS),
    ]
    done = subprocess.run([uv, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("architecture", HOSTS)
def test_the_emulator_is_there_for_the_host(architecture: str) -> None:
    assert debian(architecture).versions("qemu-user-static")


@pytest.mark.parametrize("target", every_target(), ids=lambda target: target.name)
def test_a_host_of_aarch64_has_each_tool_that_one_of_x86_64_has(target: Target) -> None:
    if target.python.host:
        assert set(target.python.host) == set(HOSTS.values())
    compilers = [tools_of(target, debian(architecture)) for architecture in HOSTS]
    assert compilers[0] == compilers[1]


def tools_of(target: Target, host: Debian) -> list[bool]:
    """Return whether a host has a Rust and a Fortran compiler for a target."""
    ways = (
        lambda: newest_common(host, debian(target.toolchain.debian)),
        lambda: compiler_packages(target, host),
    )
    found = []
    for way in ways:
        try:
            found.append(bool(way()))
        except (
            CrosswheelError
        ):  # nor has the other one: there is no Rust for armel, and no riscv64 in Debian 12
            found.append(False)
    return found
