"""An unpacked Python, and where things lie in it."""

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

    ``headers`` is the folder of ``Python.h`` where that is not the tree's own. ``program`` is the interpreter of a
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
        """Whether there is an interpreter, and not only what is needed to compile for one."""
        return self.executable.is_file()

    @property
    def names(self) -> Path:
        """Where there is none: another machine's shared library, which exports the same names."""
        return self.root / "names" / self.library.name

    @property
    def exporters(self) -> tuple[Path, ...]:
        """The files that tell which names it offers to extension modules."""
        if not self.runs:
            return (self.names,)
        return (self.library, self.executable) if self.library.is_file() else (self.executable,)

    @property
    def sysconfig_data(self) -> Path:
        """The module that states what ``sysconfig`` knows of its build."""
        (path,) = self.stdlib.glob("_sysconfigdata_*.py")
        return path

    @property
    def build_variables(self) -> Mapping[str, str | int]:
        """What that module states; :class:`IntegrityError` where it states something else than literals."""
        return read_build_variables(self.sysconfig_data)


def read_build_variables(path: Path) -> Mapping[str, str | int]:
    """Return the dictionary ``build_time_vars`` that a module of sysconfig data assigns; nothing of it is run.

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
