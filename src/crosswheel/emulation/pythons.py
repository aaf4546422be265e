"""Choose the Pythons that can compile a wheel's modules."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from crosswheel.check.modules import Interpreter
from crosswheel.emulation.emulator import Emulator
from crosswheel.emulation.sites import bytecode_folder
from crosswheel.errors import TargetError
from crosswheel.files import new_folder, sha256_of
from crosswheel.process import Result, Runner, Word
from crosswheel.toolchain.python.tree import PythonTree


def compiling_pythons(
    host: Callable[[], PythonTree], emulator: Callable[[], Emulator], runner: Runner, cache: Path
) -> Iterator[Interpreter]:
    """Yield the build machine's Python of the target's version, which is far faster, then the emulated one.

    Args:
        host: returns the former; raises :class:`TargetError` if there is none.
        emulator: returns the latter; called only if the former does not suffice.
        cache: where the former leaves the bytecode of a wheel, for trials.
    """
    with contextlib.suppress(TargetError):
        yield Interpreter("of the build machine", partial(_on_host, host(), runner, cache))
    emulated = emulator()
    if emulated.python.runs:
        yield Interpreter("under emulation", partial(_emulated, emulated, runner))


def _on_host(python: PythonTree, runner: Runner, cache: Path, words: Sequence[Word]) -> Result:
    """Run the build machine's Python with these arguments, of which the last is a wheel; keep the wheel's bytecode."""
    env, wheel = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}, Path(words[-1])
    with new_folder(bytecode_folder(cache, sha256_of(wheel), python.short)) as bytecode:
        return runner.run([python.executable, "-I", *words, bytecode], env=env)


def _emulated(emulator: Emulator, runner: Runner, words: Sequence[Word]) -> Result:
    """Run the target's Python with these arguments; it may read those that are paths."""
    paths = [word for word in words if isinstance(word, Path)]
    return emulator.run(runner, ["-I", *words], readable=paths)
