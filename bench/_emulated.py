"""A Debian of the target with its own gcc, in a folder, whose programs this kernel runs through the emulator.

A compiler starts other programs, so the kernel itself has to know the emulator: binfmt_misc does, and only root
may tell it. What is told is taken back when the block ends.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Optional

from _measure import stop
from elftools.elf.enums import ENUM_E_MACHINE

from crosswheel.emulator import emulator_for
from crosswheel.process import Runner, tail
from crosswheel.targets import Abi
from crosswheel.toolchain.debian import Debian
from crosswheel.toolchain.environment import Toolchain

_BINFMT = Path("/proc/sys/fs/binfmt_misc")
_BUILD = """
import importlib, sys
sys.path.insert(0, "")
backend = importlib.import_module(sys.argv[1])
print(backend.build_wheel(sys.argv[2]))
"""


def why_not(toolchain: Toolchain) -> Optional[str]:
    """Return why emulated programs cannot start each other on this machine, or ``None`` where they can."""
    if os.geteuid() != 0:
        return "only root may tell the kernel of an emulator (binfmt_misc)"
    if not Debian(toolchain.target.toolchain.debian, toolchain.settings, Runner()).is_usable:
        return "this machine has no apt, which gcc for the target is taken from"
    if not (_BINFMT / "register").exists() and not _mount():
        return "binfmt_misc cannot be mounted here"
    return None


def _mount() -> bool:
    words = ["mount", "-t", "binfmt_misc", "binfmt_misc", str(_BINFMT)]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


class _Apt(Debian):
    """Debian's packages, with the question which others a package needs."""

    def closure(self, *packages: str) -> list[str]:
        """Return the names of packages and of all that they depend on, as apt would fill an empty machine."""
        self._update()
        planned = self._apt("install", "--simulate", "--no-install-recommends", *packages)
        return [line.split()[1] for line in planned.splitlines() if line.startswith("Inst ")]


@dataclass(frozen=True)
class EmulatedDebian:
    """The target's Debian below ``folder``; a context manager, within which its programs run."""

    toolchain: Toolchain
    folder: Path
    runner: Runner

    @property
    def _entry(self) -> Path:
        return _BINFMT / f"crosswheel-bench-{self.toolchain.target.toolchain.qemu}"

    @property
    def _root(self) -> Path:
        return self.folder / "root"

    def __enter__(self) -> EmulatedDebian:
        toolchain = self.toolchain
        debian = _Apt(toolchain.target.toolchain.debian, toolchain.settings, self.runner)
        debian.unpack(debian.closure("gcc", "g++", "libc6-dev", "zlib1g"), self._root)
        shutil.copytree(toolchain.python.root, self._root / "python", symlinks=True)
        for name in ("dev", "tmp"):
            (self._root / name).mkdir(exist_ok=True)
        os.mknod(self._root / "dev" / "null", 0o020666, os.makedev(1, 3))
        emulator = emulator_for(toolchain.target, toolchain.settings, self.runner)
        # F: the kernel opens the emulator now, so that it is found inside the chroot as well.
        entry = f":{self._entry.name}:M::{_magic(toolchain.target.abi)}:{emulator.qemu}:F"
        (_BINFMT / "register").write_text(entry)
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self._entry.write_text("-1")  # removes it

    def build(self, name: str, tree: Path, locked: Path, variables: Mapping[str, str]) -> float:
        """Build a wheel with setuptools, and return how long that took."""
        work = self._root / "work" / name
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(tree, work / "tree", symlinks=True)
        (work / "wheel").mkdir()
        self._install(locked, work / "site")
        inside = Path("/") / work.relative_to(self._root)
        environment = {
            "PATH": "/usr/bin:/bin",
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
        command = [python, "-c", _BUILD, "setuptools.build_meta", str(inside / "wheel")]
        return self._timed(command, inside / "tree", environment)

    def _install(self, locked: Path, site: Path) -> None:
        """Install build requirements for the target, from here: they are not what is measured."""
        words = ["pip", "install", "--quiet", "--no-deps", "--require-hashes", "--target", str(site)]
        words += ["--python", str(self.toolchain.interpreter), "-r", str(locked)]
        uv = Path(sys.executable).with_name("uv")
        cache = {"UV_CACHE_DIR": str(self.toolchain.settings.cache / "uv"), "UV_NO_CONFIG": "1"}
        self.runner.run([uv, *words], env={**os.environ, **cache})

    def _timed(self, command: list[str], cwd: Path, environment: Mapping[str, str]) -> float:
        root = str(self._root)

        def enter() -> None:
            os.chroot(root)
            os.chdir(cwd)

        began = time.perf_counter()
        ended = subprocess.run(
            command, env=dict(environment), preexec_fn=enter, capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - began
        if ended.returncode != 0:
            stop(f"{cwd} could not be built under emulation:\n{tail(ended.stdout + ended.stderr)}")
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
