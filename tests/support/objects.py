"""ELF objects from a line of C, by the real compiler and linker."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ARM = "arm-linux-gnueabihf.2.25"
# Else the compiler calls functions of its runtime library, which is not linked in.
_BARE = ("-fno-sanitize=all", "-fno-unwind-tables", "-fno-asynchronous-unwind-tables", "-fno-stack-protector")


@dataclass(frozen=True)
class Compiler:
    """Compiles and links in a folder of its own. No C library is linked in: that takes a moment, not 15 s."""

    folder: Path

    def shared(self, source: str, *flags: str, target: str = ARM, name: str = "module.so") -> bytes:
        """Return the bytes of a shared object; ``flags`` are the compiler's."""
        self._zig("cc", "-target", target, "-shared", *self._common(source), *flags, "-o", name)
        return (self.folder / name).read_bytes()

    def linked(self, source: str, *flags: str, target: str = ARM, name: str = "linked") -> bytes:
        """Return what LLD itself links; ``flags`` are the linker's, also those that the compiler hides."""
        self._zig("cc", "-target", target, "-c", *self._common(source), "-o", "linked.o")
        self._zig("ld.lld", *flags, "linked.o", "-o", name)
        return (self.folder / name).read_bytes()

    def _common(self, source: str) -> list[str]:
        suffix = ".s" if source.lstrip().startswith(".") else ".c"
        file = self.folder / f"source{suffix}"
        file.write_text(source + "\n")
        return ["-nostdlib", "-fPIC", *_BARE, file.name] if suffix == ".c" else [file.name]

    def _zig(self, *words: str) -> None:
        cache = {name: str(self.folder / "cache") for name in ("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR")}
        done = subprocess.run(
            [sys.executable, "-m", "ziglang", *words],
            cwd=self.folder,
            env={**cache, **os.environ},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
