"""A Debian of the target with its own gcc, in a folder, whose programs this kernel runs through the emulator.

A compiler starts other programs, so the kernel itself has to know the emulator. Since Linux 6.7 a user namespace can
have emulators of its own (binfmt_misc), so this needs no root and leaves nothing behind.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from _measure import stop
from elftools.elf.enums import ENUM_E_MACHINE

from crosswheel.debian import Debian
from crosswheel.emulation.emulator import Emulator, emulator_for
from crosswheel.process import Runner, Word, tail
from crosswheel.targets import Abi, Target
from crosswheel.toolchain.environment import Toolchain

_BUILD = """
import importlib, os, sys
backend, tree, wheel = sys.argv[1:]
os.chdir(tree)
sys.path.insert(0, "")
print(importlib.import_module(backend).build_wheel(wheel))
"""


# Tells the new namespace of the emulator, and becomes a program of the target.
# Arguments: the rule, the root, or nothing for this machine's own, and the program with its arguments.
_ENTER = """
set -eu
rule=$1 root=$2
shift 2
mount -t binfmt_misc binfmt /proc/sys/fs/binfmt_misc
printf %s "$rule" > /proc/sys/fs/binfmt_misc/register
[ "$root" ] || exec "$@"
mount --bind /dev/null "$root/dev/null"
exec chroot "$root" "$@"
"""
_NAMESPACES = ("unshare", "--user", "--map-root-user", "--mount")


def why_not(toolchain: Toolchain) -> str | None:
    """Return why gcc of the target cannot run on this machine, or ``None`` where it can."""
    if not Debian(toolchain.target.toolchain.debian, toolchain.settings, Runner()).is_usable:
        return "no mirror of Debian is known, which gcc for the target is taken from"
    return why_alone()


def why_alone() -> str | None:
    """Return why emulated programs cannot start each other on this machine, or ``None`` where they can."""
    if shutil.which("unshare") is None:
        return "unshare of util-linux is missing"
    probe = [*_NAMESPACES, "mount", "-t", "binfmt_misc", "binfmt", "/proc/sys/fs/binfmt_misc"]
    if subprocess.run(probe, capture_output=True, check=False).returncode != 0:
        return "a user namespace cannot have emulators of its own here; that takes Linux 6.7, and not to be forbidden"
    return None


def with_others(
    emulator: Emulator, target: Target, *words: Word, environment: Mapping[str, str]
) -> list[str]:
    """Return the command line that runs a target's Python so that it can start programs of the target itself.

    Nothing is kept from it: it is for code that is known.
    """
    # What the kernel starts is told by these what the first one is told by options.
    told = {"QEMU_LD_PREFIX": str(emulator.root), "QEMU_UNAME": target.kernel}
    if target.toolchain.qemu_cpu:
        told["QEMU_CPU"] = target.toolchain.qemu_cpu
    command = emulator.command(*words, environment={**told, **environment})
    return [*_NAMESPACES, "sh", "-c", _ENTER, "sh", _rule(emulator, target), "", *command]


def _rule(emulator: Emulator, target: Target) -> str:
    # F: the kernel opens the emulator at once, so that it is found inside another root as well.
    return f":crosswheel-bench:M::{_magic(target.abi)}:{emulator.starter}:F"


def _closure(debian: Debian, packages: Sequence[str]) -> list[str]:
    """Return the names of packages and of all that they depend on, but those that only a provider has."""
    names = list(packages)
    for name in names:  # grows meanwhile
        names += [
            needed for needed in debian.dependencies(name) if needed not in names and debian.versions(needed)
        ]
    return names


@dataclass(frozen=True)
class EmulatedDebian:
    """The target's Debian below ``root``."""

    toolchain: Toolchain
    root: Path
    rule: str
    runner: Runner

    @classmethod
    def unpacked(cls, toolchain: Toolchain, root: Path, runner: Runner) -> EmulatedDebian:
        """Fill a folder with gcc, and the target's Python beside it."""
        debian = Debian(toolchain.target.toolchain.debian, toolchain.settings, runner)
        debian.unpack(_closure(debian, ["gcc", "g++", "libc6-dev", "zlib1g"]), root)
        shutil.copytree(toolchain.python.root, root / "python", symlinks=True)
        for name in ("dev", "tmp"):
            (root / name).mkdir(exist_ok=True)
        (root / "dev" / "null").touch()
        emulator = emulator_for(toolchain.target, replace(toolchain.settings, native=False), runner)
        return cls(toolchain, root, _rule(emulator, toolchain.target), runner)

    def build(self, name: str, tree: Path, locked: Path, variables: Mapping[str, str]) -> float:
        """Build a wheel with setuptools, and return how long that took."""
        work = self.root / "work" / name
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(tree, work / "tree", symlinks=True)
        (work / "wheel").mkdir()
        self._install(locked, work / "site")
        inside = Path("/") / work.relative_to(self.root)
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LD_LIBRARY_PATH": "/python",
            "PYTHONPATH": str(inside / "site"),
            "LC_ALL": "C.UTF-8",
            "CC": "gcc",
            "CXX": "g++",
            "LDSHARED": "gcc -shared",
            "LDCXXSHARED": "g++ -shared",
            **variables,
        }
        python = f"/python/bin/{self.toolchain.python.executable.name}"
        command = [python, "-c", _BUILD, "setuptools.build_meta", str(inside / "tree"), str(inside / "wheel")]
        return self._timed(command, environment)

    def _install(self, locked: Path, site: Path) -> None:
        """Install build requirements for the target, from here: they are not what is measured."""
        words = ["pip", "install", "--quiet", "--no-deps", "--require-hashes", "--target", str(site)]
        words += ["--python", str(self.toolchain.interpreter), "-r", str(locked)]
        uv = Path(sys.executable).with_name("uv")
        cache = {"UV_CACHE_DIR": str(self.toolchain.settings.cache / "uv"), "UV_NO_CONFIG": "1"}
        self.runner.run([uv, *words], env={**os.environ, **cache})

    def _timed(self, command: list[str], environment: Mapping[str, str]) -> float:
        words = [*_NAMESPACES, "sh", "-c", _ENTER, "sh", self.rule, str(self.root), *command]
        began = time.perf_counter()
        ended = subprocess.run(words, env=dict(environment), capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - began
        if ended.returncode != 0:
            stop(f"{command[-2]} could not be built under emulation:\n{tail(ended.stdout + ended.stderr)}")
        return seconds


def _magic(abi: Abi) -> str:
    """Return how the kernel recognises the target's programs: the start of their ELF header, and its mask."""
    order = {"little": 1, "big": 2}[abi.byte_order]
    # e_ident: magic, class, byte order, version; then the operating system, which is masked, and padding.
    ident = [0x7F, *b"ELF", abi.bits // 32, order, 1, 0, *[0] * 8]
    # e_type: executable or shared object (2 or 3); e_machine.
    words = [
        (2).to_bytes(2, abi.byte_order),
        int(ENUM_E_MACHINE[abi.elf_machine]).to_bytes(2, abi.byte_order),
    ]
    mask = [*[0xFF] * 7, 0, *[0xFF] * 8, *(0xFFFE).to_bytes(2, abi.byte_order), 0xFF, 0xFF]
    magic = [*ident, *words[0], *words[1]]
    return ":".join("".join(f"\\x{byte:02x}" for byte in part) for part in (magic, mask))
