"""Running what a wheel holds on an emulated target: its extension modules are imported, its tests run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from crosswheel.check.fault import Fault
from crosswheel.emulation.emulator import Emulator
from crosswheel.errors import BuildFailed
from crosswheel.process import Result, Runner, tail

# Says which module is next before it is imported: a crash leaves no other trace. Not every module can be imported
# by itself: those of a package's own tests may want what only its developers have, and others what only some users
# have. An extension module, though, has to load, if all is there that it imports from other packages.
_IMPORT_ALL = """
import importlib, sys
kind, names = sys.argv[1], sys.argv[2:]
for name in names:
    print("importing", name, flush=True)
    try:
        importlib.import_module(name)
    except ImportError as error:
        parts, missing = name.split("."), (error.name or "") if isinstance(error, ModuleNotFoundError) else ""
        optional = missing and ({"test", "tests"} & set(parts[:-1]) or missing.split(".")[0] != parts[0])
        if kind == "extension" and not optional:
            raise
        print("skipping", name, "it cannot be imported by itself:", error, flush=True)
print("imported all", flush=True)
"""


@dataclass(frozen=True)
class Trial:
    """Emulated Python with some installed wheels.

    Attributes:
        sites: for the wheel and everything it depends on, the folder that it is installed in.
        scratch: the working folder of what runs.
        log: where it goes is the runner's business.
    """

    emulator: Emulator
    sites: Sequence[Path]
    scratch: Path
    runner: Runner

    def run(self, *words: str) -> Result:
        """Run the target's Python with the installed wheels."""
        self.scratch.mkdir(parents=True, exist_ok=True)
        environment = {
            "PYTHONPATH": os.pathsep.join(map(str, self.sites)),
            "PYTHONDONTWRITEBYTECODE": "1",  # several trials share these folders
            "PYTHONFAULTHANDLER": "1",
        }
        return self.emulator.run(self.runner, words, environment=environment, cwd=self.scratch, check=False)


@dataclass(frozen=True)
class Imports:
    """What came of importing extension modules; ``skipped`` has a reason for each."""

    imported: tuple[str, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()


def import_modules(
    modules: Sequence[str], wheel: str, trial: Trial, *, kind: Literal["extension", "pure"] = "extension"
) -> Imports:
    """Import modules, all in one process; a fault names the one that does not load."""
    if not modules:
        return Imports()
    try:
        result = trial.run("-c", _IMPORT_ALL, kind, *modules)
    except BuildFailed as error:
        fault = Fault(wheel, f"importing {', '.join(modules)} does not end: {error}", "read the log")
        return Imports(faults=(fault,))
    said = [line.split(" ", 2) for line in result.lines]
    skipped = {words[1]: words[2] for words in said if words[0] == "skipping" and len(words) == 3}
    if result.returncode == 0 and "imported all" in result.output:
        return Imports(tuple(module for module in modules if module not in skipped), skipped)
    begun = [words[1] for words in said if words[0] == "importing" and len(words) == 2]
    fault = Fault(
        wheel,
        f"module {begun[-1] if begun else modules[0]} does not load on the target ({_ending(result)}):\n"
        + tail(result.output, 8),
        "if it needs another module first, say so with skip_imports or test_requires in a recipe; if it crashes, "
        'try another optimisation level (optimize="s")',
    )
    return Imports(faults=(fault,))


def run_test(test: Path, wheel: str, trial: Trial) -> list[Fault]:
    """Run a recipe's test on the emulated target."""
    try:
        result = trial.run(str(test))
    except BuildFailed as error:
        return [Fault(wheel, f"test {test.name} does not end: {error}", "read the log")]
    if result.returncode == 0:
        return []
    return [
        Fault(
            wheel,
            f"test {test.name} fails on the target ({_ending(result)}):\n{tail(result.output, 8)}",
            "the wheel loads but does not work: try another optimisation level, or look for code that is chosen "
            "by the word size or CPU of the machine that builds",
        )
    ]


def _ending(result: Result) -> str:
    # qemu ends by the signal that ended the program, or with 128 plus its number.
    crashed = {
        -11: "segmentation fault",
        139: "segmentation fault",
        -4: "illegal instruction",
        132: "illegal instruction",
    }
    return crashed.get(result.returncode, f"exit code {result.returncode}")
