"""Compile a wheel's modules with a Python of the target's version, to find unfit ones without importing them.

Only importable modules count: tests need not compile, and neither do files outside any package.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from packaging.utils import canonicalize_name

from crosswheel.check.fault import Fault
from crosswheel.process import Result, Word
from crosswheel.targets import Target
from crosswheel.wheels.reading import BESIDE, WheelFile, installed_path

_PROGRAM = Path(__file__).with_name("compiling.py")
_TESTS = frozenset({"test", "tests", "_test", "_tests", "conftest"})


@dataclass(frozen=True)
class Interpreter:
    """A Python that can compile modules; ``place`` names where it runs, for messages."""

    folder: str
    run: Callable[[list[Word]], Result]


@dataclass(frozen=True)
class Compiled:
    """The result of compiling modules.

    Attributes:
        by: the Python that compiled them, such as ``CPython 3.10.8 of the build machine``; empty if none did.
        count: the number of modules.
        unfit: maps each module that cannot work on the target to the reason.
    """

    by: str = ""
    count: int = 0
    unfit: Mapping[str, str] = field(default_factory=dict)


def compile_modules(wheel: WheelFile, target: Target, pythons: Iterable[Interpreter]) -> Compiled:
    """Compile a wheel's modules and check their imports from the standard library.

    Args:
        pythons: candidates; the first of the target's version is used, or the last if no version fits.

    Raises:
        BuildFailed: a Python did not answer.
    """
    modules = dict(_modules(wheel))
    compiled = Compiled()
    if not modules:
        return compiled
    with tempfile.TemporaryDirectory() as folder:
        request = Path(folder) / "asked.json"
        question = {"wheel": str(wheel.path), "modules": modules, "newer": _newer(wheel, target)}
        request.write_text(json.dumps(question))
        for python in pythons:
            answer = json.loads(python.run([_PROGRAM, request, wheel.path]).lines[-1])
            compiled = Compiled(
                f"CPython {answer['version']} {python.folder}", answer["compiled"], answer["unfit"]
            )
            if answer["version"] == target.python.version:
                break
    return compiled


def unfit_modules(compiled: Compiled, wheel: str, short: str, skip: Iterable[str] = ()) -> list[Fault]:
    """Return a fault for each module that cannot work with the target's Python, except those in ``skip``."""
    remedy = (
        "lock a release for this Python; if nothing needs the module, name it with skip_imports in a recipe"
    )
    return [
        Fault(wheel, f"module {module} cannot work with Python {short}: {reason}", remedy)
        for module, reason in compiled.unfit.items()
        if module not in skip
    ]


def _modules(wheel: WheelFile) -> Iterator[tuple[str, str]]:
    """Yield the importable members, each with its module name."""
    members = {PurePosixPath(installed_path(member) or ""): member for member in wheel.members}
    packages = {path.parent for path in members if path.name == "__init__.py" and path.parent.name}
    for path, member in members.items():
        names = path.parent.parts if path.name == "__init__.py" else (*path.parent.parts, path.stem)
        if path.suffix != ".py" or not names or not all(map(str.isidentifier, names)):
            continue
        tested = names[0] in BESIDE or _TESTS & set(names) or names[-1].startswith("test_")
        if not tested and _is_reached(path, packages):
            yield member, ".".join(names)


def _is_reached(path: PurePosixPath, packages: set[PurePosixPath]) -> bool:
    """Return whether every folder below the outermost package is a package; other folders there hold data."""
    around = [folder in packages for folder in path.parents if folder.name]
    return all(around[: len(around) - around[::-1].index(True)]) if any(around) else True


def _newer(wheel: WheelFile, target: Target) -> dict[str, str]:
    """Return the names that newer standard libraries added, with the version; without those that the wheel bundles."""
    from vermin import Config  # imported late: slow to import, and needed only when something is compiled
    from vermin.rules import MOD_MEM_REQS, MOD_REQS

    config = Config()
    known = {**MOD_REQS(config), **MOD_MEM_REQS(config)}
    brought = {canonicalize_name(requirement.name) for requirement in wheel.requires_dist}
    brought |= {canonicalize_name(name) for name in wheel.top_level_names}
    since = {name: versions[1] for name, versions in known.items() if versions[1]}
    return {
        name: ".".join(map(str, version))
        for name, version in since.items()
        if version > target.python.numbers and canonicalize_name(name.partition(".")[0]) not in brought
    }
