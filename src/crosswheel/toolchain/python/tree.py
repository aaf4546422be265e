"""An unpacked Python, and where things lie in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class PythonTree:
    """An unpacked Python: ``root`` holds ``bin``, ``include`` and ``lib``.

    ``headers`` is the folder of ``Python.h`` where that is not the tree's own.
    """

    root: Path
    short: str
    headers: Path | None = None

    @property
    def executable(self) -> Path:
        """The interpreter."""
        return self.root / "bin" / f"python{self.short}"

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
        return (self.library, self.executable) if self.runs else (self.names,)
