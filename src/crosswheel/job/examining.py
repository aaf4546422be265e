"""Runs the checks of a build on any wheel, wherever it comes from: what ``crosswheel check`` does."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from crosswheel.check.elf import audit
from crosswheel.check.fault import Fault
from crosswheel.check.modules import Interpreter, compile_modules, unfit_modules
from crosswheel.check.own_system import own_system
from crosswheel.check.suitability import suitability
from crosswheel.check.system import System, system_of
from crosswheel.emulation.emulator import emulator_for, kept_userland, userland
from crosswheel.emulation.pythons import compiling_pythons
from crosswheel.emulation.trials import Importable, Imports, Trial, Trying, import_modules
from crosswheel.errors import BuildFailed, CrosswheelError, IntegrityError, Interrupted
from crosswheel.job.machine_runs import Machine
from crosswheel.process import Runner
from crosswheel.settings import Settings
from crosswheel.targets import Target
from crosswheel.toolchain.environment import toolchain_for
from crosswheel.toolchain.python.choosing import host_python, target_python
from crosswheel.uv import Uv
from crosswheel.wheels.proof import AuditedObject
from crosswheel.wheels.reading import WheelFile


@dataclass(frozen=True)
class Examined:
    """The result of examining wheels.

    Attributes:
        faults: every reason why one of the wheels would not load on the target.
        imported: the modules that were imported: extension modules, and other modules at the top level.
        skipped: modules that were not imported, each with the reason.
        warnings: what could not be checked, and where a wheel departs from the standards.
        unproven: needs of the wheels that may or may not be met: the exports of a library are not known.
    """

    faults: tuple[Fault, ...]
    imported: tuple[str, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    unproven: tuple[str, ...] = ()


def examine_wheels(
    paths: Sequence[Path],
    target: Target,
    settings: Settings,
    *,
    run: bool,
    tell: Callable[[str], None],
    machine: Machine | None = None,
) -> Examined:
    """Find every reason why wheels would not load on a target.

    Args:
        run: also install all the wheels together and import their modules on the emulated target.
        machine: a real machine of the target's kind, on which to import them as well.
        tell: called with the name of each step when it begins.

    Raises:
        NetworkError, MissingToolError: a part of the toolchain that is needed cannot be had.
    """
    faults: list[Fault] = []
    wheels: list[tuple[WheelFile, list[AuditedObject]]] = []
    unproven: list[str] = []
    tell(f"preparing the libraries of {target.title}")
    system, warnings = _system(target, settings)
    for path in paths:
        tell(f"auditing {path.name}")
        try:
            wheel = WheelFile.open(path)
        except IntegrityError as error:
            faults.append(Fault(path.name, str(error), error.hint))
            continue
        warnings += [f"{path.name}: {oddity}" for oddity in wheel.oddities]
        audited, refused = audit(wheel, target, system)
        wheel_faults = [*suitability(wheel, target), *refused]
        compiled = compile_modules(wheel, target, _pythons(target, settings))
        wheel_faults += unfit_modules(compiled, path.name, target.python.short)
        faults += [_named(fault, wheel) for fault in wheel_faults]
        wheels += [] if wheel_faults else [(wheel, audited)]
        unproven += [f"{path.name}: {item.file}: {need}" for item in audited for need in item.unproven]
    ran = _run(wheels, target, settings, tell, run, machine) if run or machine else Examined(())
    return replace(
        ran,
        faults=(*faults, *ran.faults),
        warnings=(*warnings, *ran.warnings),
        unproven=() if faults else tuple(unproven),
    )


def _system(target: Target, settings: Settings) -> tuple[System, list[str]]:
    """Return what the target offers, as far as this host can tell, and warnings of what it cannot tell."""
    learned = kept_userland(target, settings)
    if learned and not target.python.provided:
        return own_system(target, learned), []
    python = target_python(target, settings)
    if learned:
        return own_system(target, learned, python), []
    try:
        return system_of(target, python, userland(target, settings, Runner())), []
    except Interrupted:
        raise
    except CrosswheelError as error:
        warning = f"what libraries other than glibc's offer was not compared: {error} ({error.hint})"
        return system_of(target, python, None), [warning]


def _pythons(target: Target, settings: Settings) -> Iterator[Interpreter]:
    """Return the Pythons that can compile a wheel's modules."""
    runner = Runner()
    host, emulator = partial(host_python, target, settings), partial(emulator_for, target, settings, runner)
    return compiling_pythons(host, emulator, runner, settings.cache)


def _named(fault: Fault, wheel: WheelFile) -> Fault:
    if fault.file == wheel.path.name:
        return fault
    return Fault(f"{wheel.path.name}: {fault.file}", fault.message, fault.remedy)


def _run(
    wheels: Sequence[tuple[WheelFile, Sequence[AuditedObject]]],
    target: Target,
    settings: Settings,
    tell: Callable[[str], None],
    emulated: bool,
    machine: Machine | None,
) -> Examined:
    """Import the modules of wheels on the emulated target, and on a real machine if one is given."""
    runner = Runner()
    tell(f"preparing the emulated {target.title}")
    emulator = emulator_for(target, settings, runner) if emulated else None
    interpreter = toolchain_for(target, settings).interpreter
    all_imports: list[Imports] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        opened = [wheel for wheel, _ in wheels]
        faults = [*_install(opened, folder / "installed", Uv(settings, runner), interpreter)]
        sites = folder.glob(
            "installed/lib/python*/site-packages"
        )  # there is none where none could be installed
        folders = list(sites)
        trials: list[Trying] = [Trial(emulator, folders, folder / "scratch", runner)] if emulator else []
        trials += [machine.trial(folders)] if machine else []
        for wheel, audited in wheels:
            tell(f"importing {wheel.path.name}")
            name, modules = wheel.path.name, wheel.modules(target)
            importable = Importable.of(name, modules, audited, target, complete=False)
            all_imports += [import_modules(importable, trial) for trial in trials]
    return Examined(
        faults=(*faults, *(fault for imports in all_imports for fault in imports.faults)),
        imported=tuple(dict.fromkeys(module for imports in all_imports for module in imports.imported)),
        skipped={module: reason for imports in all_imports for module, reason in imports.skipped.items()},
        warnings=emulator.warnings if emulator else (),
    )


def _install(wheels: Sequence[WheelFile], prefix: Path, uv: Uv, interpreter: Path) -> Iterator[Fault]:
    """Install wheels together; yield a fault for each that cannot be installed."""
    for wheel in wheels:
        try:
            uv.install_wheel(wheel.path, prefix, python=interpreter)
        except BuildFailed as error:
            yield Fault(
                wheel.path.name,
                f"it cannot be installed: {error}",
                "mend what built it, or take another wheel",
            )
