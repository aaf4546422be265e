"""Locate the parts of an unpacked Python."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from crosswheel.errors import IntegrityError

_HINT = "the Python that it belongs to is not a whole one; remove its folder, and it is fetched anew."


@dataclass(frozen=True)
class PythonTree:
    """An unpacked Python: ``root`` holds ``bin``, ``include`` and ``lib``.

    ``headers`` is the folder of ``Python.h``, if that is not the tree's own. ``program`` is the interpreter of a
    machine's own userland, which finds its libraries as on the machine.
    """

    root: Path
    short: str
    headers: Path | None = None
    program: Path | None = None

    @property
    def executable(self) -> Path:
        """The interpreter."""
        return self.program or self.root / "bin" / f"python{self.short}"

    @property
    def include(self) -> Path:
        """The folder of ``Python.h``."""
        return self.headers or self.root / "include" / f"python{self.short}"

    @property
    def stdlib(self) -> Path:
        """The folder of the standard library, where the sysconfig data lies."""
        return self.root / "lib" / f"python{self.short}"

    @property
    def library(self) -> Path:
        """The shared library that exports Python's C API."""
        return self.root / f"libpython{self.short}.so.1.0"

    @property
    def runs(self) -> bool:
        """Whether it has an interpreter, and not only the files to compile against."""
        return self.executable.is_file()

    @property
    def names(self) -> Path:
        """In a tree without interpreter: another machine's shared library, which exports the same names."""
        return self.root / "names" / self.library.name

    @property
    def exporters(self) -> tuple[Path, ...]:
        """The files that export its names to extension modules."""
        if not self.runs:
            return (self.names,)
        return (self.library, self.executable) if self.library.is_file() else (self.executable,)

    @property
    def sysconfig_data(self) -> Path:
        """The module with ``sysconfig``'s facts about its build."""
        (path,) = self.stdlib.glob("_sysconfigdata_*.py")
        return path

    @property
    def build_variables(self) -> Mapping[str, str | int]:
        """The values in that module; raises :class:`IntegrityError` if it has anything but literals."""
        return read_build_variables(self.sysconfig_data)


def read_build_variables(path: Path) -> Mapping[str, str | int]:
    """Return the dictionary ``build_time_vars`` in a module of sysconfig data, without executing the module.

    Raises:
        IntegrityError: there is no such dictionary of literals.
    """
    try:
        for statement in ast.parse(path.read_text()).body:
            if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "build_time_vars":
                variables: Mapping[str, str | int] = ast.literal_eval(statement.value)
                return variables
    except (SyntaxError, ValueError) as error:
        raise IntegrityError(f"{path} is no sysconfig data: {error}", hint=_HINT) from error
    raise IntegrityError(f"{path} is no sysconfig data: it has no build_time_vars", hint=_HINT)
