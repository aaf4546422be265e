"""Choose the Pythons that can compile a wheel's modules."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from crosswheel.check.modules import Interpreter
from crosswheel.emulation.emulator import Emulator
from crosswheel.errors import TargetError
from crosswheel.process import Result, Runner, Word
from crosswheel.toolchain.python.tree import PythonTree


def compiling_pythons(
    host: Callable[[], PythonTree], emulator: Callable[[], Emulator], runner: Runner
) -> Iterator[Interpreter]:
    """Yield the build machine's Python of the target's version, which is far faster, then the emulated one.

    Args:
        host: returns the former; raises :class:`TargetError` if there is none.
        emulator: returns the latter; called only if the former does not suffice.
    """
    with contextlib.suppress(TargetError):
        program, env = host().executable, {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}
        yield Interpreter("of the build machine", lambda words: runner.run([program, "-I", *words], env=env))
    emulated = emulator()
    if emulated.python.runs:
        yield Interpreter("under emulation", partial(_emulated, emulated, runner))


def _emulated(emulator: Emulator, runner: Runner, words: Sequence[Word]) -> Result:
    """Run the target's Python with these arguments; it may read those that are paths."""
    paths = [word for word in words if isinstance(word, Path)]
    return emulator.run(runner, ["-I", *words], readable=paths)
