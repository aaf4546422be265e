"""A wheel that was taken or built and passed what can be seen without running it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from crosswheel.check.modules import Compiled
from crosswheel.files import read_sealed, sha256_of, write_sealed
from crosswheel.wheels.proof import AuditedObject, SandboxLevel


class Made(BaseModel):
    """A wheel, where it lies, and what was found out when it was made; kept in the cache as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    wheel: Path
    sha256: str
    size: int
    origin: Literal["taken", "built"]
    reason: str
    source: str
    requires: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()
    importable: tuple[str, ...] = ()
    not_importable: Mapping[str, str] = Field(default_factory=dict)
    audited: tuple[AuditedObject, ...] = ()
    compiled: Compiled = Compiled()
    toolchain: Mapping[str, str] = Field(default_factory=dict)
    build_requirements: tuple[str, ...] = ()
    parity: str | None = None
    sandbox: SandboxLevel | None = None
    traces: Mapping[str, int] = Field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    found: bool = False

    @classmethod
    def read(cls, folder: Path) -> Made | None:
        """Read what was made before; return ``None`` if it is not there, or not to the byte what was made."""
        said = read_sealed(folder / "made.json")
        try:
            made = cls.model_validate_json(said) if said is not None else None
        except ValidationError:  # written by another version
            return None
        if made is None or not made.wheel.is_file() or sha256_of(made.wheel) != made.sha256:
            return None
        return made.model_copy(update={"found": True})

    def agrees(self, tool: str, version: str | None) -> bool:
        """Tell whether a tool it was built with is of this version; if it was not, or the tool is not there, it is."""
        return version is None or self.toolchain.get(tool, version) == version

    def write(self, folder: Path) -> None:
        """Write it to a folder of the cache."""
        write_sealed(folder / "made.json", self.model_dump_json(indent=1, exclude={"found"}))
