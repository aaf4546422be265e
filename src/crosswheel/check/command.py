"""``crosswheel check``: the checks of a build, for any wheel from anywhere."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from crosswheel.check.elf import audit, exported_symbols
from crosswheel.check.emulate import Trial, import_modules
from crosswheel.check.proof import Fault
from crosswheel.check.wheel import WheelFile, suitability
from crosswheel.emulator import emulator_for
from crosswheel.errors import IntegrityError
from crosswheel.process import Runner
from crosswheel.settings import Settings
from crosswheel.targets import Target
from crosswheel.toolchain.environment import toolchain_for
from crosswheel.toolchain.python import target_python
from crosswheel.uv import Uv


def examine_wheels(paths: Sequence[Path], target: Target, settings: Settings, *, run: bool) -> list[Fault]:
    """Return every reason why wheels would not load on a target.

    Args:
        run: also import their extension modules, with all the wheels installed together.

    Raises:
        NetworkError, MissingToolError: a part of the toolchain that is needed cannot be had.
    """
    faults: list[Fault] = []
    wheels: list[WheelFile] = []
    python = target_python(target, settings)
    symbols = frozenset[str]().union(*map(exported_symbols, python.exporters))
    for path in paths:
        try:
            wheel = WheelFile.open(path)
        except IntegrityError as error:
            faults.append(Fault(path.name, str(error), error.hint))
            continue
        found = [*suitability(wheel, target), *audit(wheel, target, symbols)[1]]
        faults += [_named(fault, wheel) for fault in found]
        wheels += [] if found else [wheel]
    return [*faults, *(_run(wheels, target, settings) if run else [])]


def _named(fault: Fault, wheel: WheelFile) -> Fault:
    if fault.file == wheel.path.name:
        return fault
    return Fault(f"{wheel.path.name}: {fault.file}", fault.message, fault.remedy)


def _run(wheels: Sequence[WheelFile], target: Target, settings: Settings) -> list[Fault]:
    runner = Runner()
    emulator, interpreter = (
        emulator_for(target, settings, runner),
        toolchain_for(target, settings).interpreter,
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for wheel in wheels:
            Uv(settings, runner).install_wheel(wheel.path, folder / "site", python=interpreter)
        trial = Trial(emulator, [folder / "site"], folder / "scratch", runner)
        return [
            fault
            for wheel in wheels
            for fault in import_modules(list(wheel.extension_modules(target)), wheel.path.name, trial).faults
        ]
