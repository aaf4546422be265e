"""Run a wheel's contents on an emulated target: import its modules, run its tests."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, unquote

from crosswheel.check.fault import Fault
from crosswheel.emulation.emulator import START, Emulator
from crosswheel.errors import AllowanceSpent, BuildFailed
from crosswheel.process import Result, Runner, tail
from crosswheel.targets import Target
from crosswheel.wheels.proof import AuditedObject
from crosswheel.wheels.reading import WheelModules, installed_path

IMPORT_ALL = START / "import_all.py"
"""Imports the modules that are named; a trial runs it compiled."""
HIDDEN_IMAGE = "CROSSWHEEL_HIDES_IMAGE"
"""The environment variable that tells whether the image's own packages are hidden."""
# A module that prints during import may leave its line unfinished.
_TOLD = re.compile(r"(importing|imported|unimportable|opening|unopenable) (\S+)(?: (\{.*\}))?$")
_NOT_FOUND = re.compile(  # the wording of glibc, and of musl
    r"(?P<glibc>\S+): cannot open shared object file|Error loading shared library (?P<musl>\S+): No such file"
)


def _without_site(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name in ("site-packages", ".lock")]


def _link(path: str, link: str) -> None:
    with contextlib.suppress(FileExistsError):  # another wheel has it, too
        Path(link).symlink_to(path)


class Trying(Protocol):
    """The target's Python with some installed wheels, emulated or on the machine itself."""

    def run(self, *words: str) -> Result:
        """Run the target's Python with these arguments; a path names a file on this machine.

        Raises:
            BuildFailed: it does not end.
        """


@dataclass(frozen=True)
class Trial:
    """The emulated Python with some installed wheels.

    Attributes:
        sites: the site-packages of the wheel and of each dependency.
        scratch: the working directory.
        log: passed to the runner, which decides where output goes.
    """

    emulator: Emulator
    sites: Sequence[Path]
    scratch: Path
    runner: Runner

    def run(self, *words: str) -> Result:
        """Run the target's Python with the installed wheels."""
        self.scratch.mkdir(parents=True, exist_ok=True)
        compiled = self._start / "import_all.pyc"
        if words[:1] == (str(IMPORT_ALL),) and compiled.is_file():
            words = (str(compiled), *words[1:])
        named = [
            Path(word) for word in words if word.startswith("/")
        ]  # a recipe's test, and the files next to it
        readable = [*self.sites, *self._roots(), *(path.parent for path in named if path.is_file())]
        environment = self._environment()
        return self.emulator.run(
            self.runner, words, environment=environment, cwd=self.scratch, check=False, readable=readable
        )

    def command(self, executable: Path) -> list[str]:
        """Return the command line that starts the target's Python, whose ``sys.executable`` is a program."""
        return self.emulator.command(
            environment={**self._environment(), "CROSSWHEEL_EXECUTABLE": str(executable)},
            program=self._linked_interpreter(),
        )

    def _linked_interpreter(self) -> Path:
        """Return a link to the interpreter in an environment (PEP 405), by which it finds the wheels if isolated, too.

        Isolated (``-I``), it passes over ``PYTHONPATH``, but not over what its own site-packages say.
        """
        python, folder = self.emulator.python, self.scratch / "environment"
        shutil.rmtree(folder, ignore_errors=True)
        site = folder / "lib" / f"python{python.short}" / "site-packages"
        site.mkdir(parents=True)
        start = repr(str(self._start))
        (site / "start.pth").write_text(f"import sys; {start} in sys.path or sys.path.insert(0, {start})\n")
        settings = f"home = {python.executable.parent}\ninclude-system-site-packages = true\n"
        (folder / "pyvenv.cfg").write_text(settings)
        program = folder / "bin" / python.executable.name
        program.parent.mkdir()
        program.symlink_to(python.executable)
        return program

    @property
    def _start(self) -> Path:
        """What the run starts with: compiled, or its source if there is no more than that."""
        start = self.emulator.start
        return start if (start / "import_all.pyc").is_file() else START

    def _environment(self) -> dict[str, str]:
        return {
            "PYTHONPATH": str(self._start),
            "CROSSWHEEL_SITES": os.pathsep.join(map(str, self.sites)),
            "CROSSWHEEL_PREFIX": str(self.prefix),
            # The image's packages must neither replace nor hide a wheel's requirements.
            HIDDEN_IMAGE: "1" if self.emulator.userland else "",
            "PYTHONDONTWRITEBYTECODE": "1",  # several trials share these folders
            "PYTHONFAULTHANDLER": "1",
        }

    @property
    def prefix(self) -> Path:
        """The ``sys.prefix`` of the run, which holds the wheels' data files, as in an environment."""
        prefix = self.scratch / ".prefix"
        if not prefix.is_dir():
            prefix.mkdir(parents=True)
            for root in self._roots():
                shutil.copytree(root, prefix, ignore=_without_site, copy_function=_link, dirs_exist_ok=True)
        return prefix

    def _roots(self) -> list[Path]:
        """Return the prefixes that wheels were installed into, whose data files the one prefix of the run links to."""
        return [site.parents[2] for site in self.sites if site.match("lib/*/site-packages")]


@dataclass(frozen=True)
class Importable:
    """The modules and shared objects of a wheel to import or load.

    Attributes:
        wheel: its file name.
        extensions: its extension modules.
        pure: the packages and modules of Python source that it adds.
        skip: maps modules that are not imported to the reason.
        complete: whether all requirements of the wheel are installed.
        objects: its shared objects that load on their own, by their paths below site-packages.
        system: the libraries of the target's image; the emulated image lacks some of them.
        optional: the normalised names of the packages that its extras bring.
    """

    wheel: str
    extensions: Sequence[str] = ()
    pure: Sequence[str] = ()
    skip: Mapping[str, str] = field(default_factory=dict)
    complete: bool = True
    objects: Sequence[str] = ()
    system: Sequence[str] = ()
    optional: Sequence[str] = ()

    @classmethod
    def of(
        cls,
        wheel: str,
        modules: WheelModules,
        audited: Iterable[AuditedObject],
        target: Target,
        *,
        skip: Mapping[str, str] | None = None,
        complete: bool,
    ) -> Importable:
        """Return what to import of a wheel that was audited for a target; ``skip`` comes from a recipe."""
        return cls(
            wheel,
            modules.extensions,
            modules.pure,
            {**modules.not_importable, **(skip or {})},
            complete,
            openable(audited),
            target.image.libraries,
            modules.optional,
        )

    @property
    def modules(self) -> list[str]:
        """The modules to import; importing an extension module also imports the packages around it."""
        extensions = [name for name in self.extensions if name not in self.skip]
        pure = [name for name in self.pure if not any(_is_in(ext, name) for ext in extensions)]
        return [*extensions, *(name for name in pure if name not in self.skip)]

    @property
    def left_out(self) -> dict[str, str]:
        """The modules that are not imported, each with the reason."""
        return {name: self.skip[name] for name in (*self.extensions, *self.pure) if name in self.skip}

    def excuse(self, module: str, error: _Unimportable, imported: Set[str]) -> str | None:
        """Return why a failed import is not the wheel's fault; ``None`` if it is.

        An extension module must load if all of the wheel's requirements are installed. Python source may lack optional
        dependencies, or state that it supports another system only. A package's tests may need what only its developers
        install. So may one of several extension modules need what an extra brings, if another one was ``imported``.
        """
        pure = module not in self.extensions
        absent = error.missing if error.missing and not self._has(error.missing) else None
        optional = absent and self._is_optional(absent) and not imported.isdisjoint(self.extensions)
        tests = {"test", "tests"} & set(module.split(".")[:-1])
        if absent and (pure or not self.complete or tests or optional):
            return f"it cannot be imported by itself: {error.message}"
        return f"it cannot be imported by itself: {error.message}" if pure and error.by_hand else None

    def _is_optional(self, module: str) -> bool:
        """Return whether an extra brings a module, by the words of its name: ``_cffi_backend`` is cffi's."""
        words = set(re.split(r"[-_.]+", module.lower()))
        return any(words.issuperset(name.split("-")) for name in self.optional)

    def _has(self, module: str) -> bool:
        return any(_is_in(module, name) or _is_in(name, module) for name in (*self.extensions, *self.pure))


def openable(audited: Iterable[AuditedObject]) -> tuple[str, ...]:
    """Return the shared objects that load on their own, by their paths below site-packages."""
    return tuple(filter(None, (installed_path(item.file) for item in audited if item.opened)))


@dataclass(frozen=True)
class Imports:
    """The result of importing modules; ``skipped`` maps each module and object that was not tried to the reason."""

    imported: tuple[str, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()


def import_modules(importable: Importable, trial: Trying) -> Imports:
    """Import a wheel's modules in one process; return a fault for each that does not load.

    The process starts even without modules, because every start of Python may run files of the wheel.
    """
    modules = importable.modules
    try:
        result = trial.run(str(IMPORT_ALL), *modules, "--", *importable.objects)
    except AllowanceSpent:
        raise
    except BuildFailed as error:
        listed = ", ".join(modules) or "nothing"
        fault = Fault(importable.wheel, f"importing {listed} does not end: {error}", "read the log")
        return Imports(faults=(fault,))
    imported, failed, unopenable = _results(modules, importable.objects, result)
    excused = {name: importable.excuse(name, error, set(imported)) for name, error in failed.items()}
    skipped = {name: reason for name, reason in excused.items() if reason is not None}
    faults = [_not_imported(importable, name, failed[name]) for name in failed if name not in skipped]
    for path, reason in unopenable.items():
        found = _NOT_FOUND.search(reason)
        absent = found and (found["glibc"] or found["musl"])
        if absent and absent in importable.system:
            skipped[path] = f"it was not opened: the emulated system lacks {absent}, which the target has"
        else:
            faults.append(_not_opened(path, reason))
    if result.returncode != 0 or "finished importing" not in result.output:
        faults.append(_crashed(importable, result))
    return Imports(tuple(imported), {**importable.left_out, **skipped}, tuple(faults))


@dataclass(frozen=True)
class _Unimportable:
    """Why a module was not imported.

    Attributes:
        kind: the class of the exception.
        message: its message.
        output: the output during the import, with the traceback.
        missing: the missing module, if that is the reason.
        by_hand: whether the module itself raised the ImportError, and nothing is wrong.
    """

    kind: str
    message: str
    output: str
    missing: str | None
    by_hand: bool


def _results(
    modules: Sequence[str], objects: Sequence[str], result: Result
) -> tuple[list[str], dict[str, _Unimportable], dict[str, str]]:
    """Return the imported modules, the reasons of failed imports, and the reasons why objects could not be opened."""
    imported: list[str] = []
    failed: dict[str, _Unimportable] = {}
    unopenable: dict[str, str] = {}
    began = 0
    for number, (event, name, details) in _events([*modules, *map(quote, objects)], result):
        if event == "imported":
            imported.append(name)
        elif event == "unimportable" and details:
            failed[name] = _Unimportable(output="\n".join(result.lines[began:number]), **json.loads(details))
        elif event == "unopenable" and details:
            unopenable[unquote(name)] = json.loads(details)["message"]
        began = number + 1
    return imported, failed, unopenable


def _events(names: Sequence[str], result: Result) -> Iterator[tuple[int, tuple[str, str, str | None]]]:
    for number, line in enumerate(result.lines):
        match = _TOLD.search(line)
        if match and match[2] in names:
            yield number, (match[1], match[2], match[3])


def _is_in(module: str, package: str) -> bool:
    return f"{module}.".startswith(f"{package}.")


def _not_imported(importable: Importable, module: str, error: _Unimportable) -> Fault:
    message = f"module {module} does not load on the target ({error.kind}: {error.message}):\n{tail(error.output, 8)}"
    if error.missing:
        remedy = (
            f"nothing that it requires brings {error.missing}: name what does with test_requires in a recipe"
        )
        return Fault(importable.wheel, message, f"{remedy}, or the module with skip_imports")
    return Fault(
        importable.wheel, message, "if it is not for this target, name it with skip_imports in a recipe"
    )


def _not_opened(path: str, reason: str) -> Fault:
    return Fault(
        path,
        f"it cannot be loaded on the target: {reason}",
        "build it with all that it uses linked, or leave it out; no module has loaded it before, and some code will",
    )


def _crashed(importable: Importable, result: Result) -> Fault:
    events = _events([*importable.modules, *map(quote, importable.objects)], result)
    kinds = {"importing": "module", "opening": "shared object"}
    last = [f"{kinds[event]} {unquote(name)}" for _, (event, name, _) in events if event in kinds]
    where = f"{last[-1]} does not load" if last else "Python does not start with it"
    return Fault(
        importable.wheel,
        f"{where} on the target ({ending(result)}):\n{tail(result.output, 8)}",
        'if it crashes, try another optimisation level (optimize="s") in a recipe; if it cannot be imported alone, '
        "name it there with skip_imports",
    )


def run_test(test: Path, wheel: str, trial: Trying) -> list[Fault]:
    """Run a recipe's test on the emulated target."""
    try:
        result = trial.run(str(test))
    except AllowanceSpent:
        raise
    except BuildFailed as error:
        return [Fault(wheel, f"test {test.name} does not end: {error}", "read the log")]
    if result.returncode == 0:
        return []
    return [
        Fault(
            wheel,
            f"test {test.name} fails on the target ({ending(result)}):\n{tail(result.output, 8)}",
            "the wheel loads but does not work: try another optimisation level, or look for code that is chosen "
            "by the word size or CPU of the machine that builds",
        )
    ]


def ending(result: Result) -> str:
    """Return how a program of the target ended, in words."""
    # qemu ends by the signal that ended the program, or with 128 plus the signal's number.
    crashed = {
        -11: "segmentation fault",
        139: "segmentation fault",
        -4: "illegal instruction",
        132: "illegal instruction",
    }
    return crashed.get(result.returncode, f"exit code {result.returncode}")
