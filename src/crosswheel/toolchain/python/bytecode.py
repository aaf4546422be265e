"""Compile a Python's standard library to bytecode, for whoever runs that Python where it cannot write.

A sandbox shows a Python read-only, and under emulation to compile a module takes longer than to import it: without
bytecode, each start would compile all that it imports anew.
"""

from __future__ import annotations

from pathlib import Path

from crosswheel.process import Runner

# Bytecode depends on Python's version alone. The files that it is of are never modified, so none is compared.
WAY = (
    "-I", "-m", "compileall", "-qq", "--invalidation-mode", "unchecked-hash",
    "-x", "/(test|tests|lib2to3|idlelib|turtledemo|site-packages)/",
)  # fmt: skip


def compile_library(library: Path, interpreter: Path, runner: Runner) -> None:
    """Compile a standard library in place; what does not compile is read as source.

    Args:
        interpreter: a Python of the same version that runs here.
    """
    runner.run([interpreter, *WAY, library], check=False)
