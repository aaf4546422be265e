"""The record of a wheel in hand: where it came from, and what the audit found."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from crosswheel.check.modules import Compiled
from crosswheel.files import read_sealed, sha256_of, write_sealed
from crosswheel.wheels.materials import Materials
from crosswheel.wheels.proof import AuditedObject, SandboxLevel


class BuildLock(BaseModel):
    """What a build is locked to, beside its recipe.

    Attributes:
        sdist: the SHA-256 of the source, where it is the lock's sdist.
        requirements: the locked requirements of the build, as its file has them.
        as_of: the day that they were resolved as of, if one was given.
        day: the day that they stand for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sdist: str | None
    requirements: str
    as_of: datetime.date | None
    day: datetime.date | None


class WheelRecord(BaseModel):
    """A wheel that passed its audit: its path, its origin, and what the audit found; the cache keeps it as JSON.

    Attributes:
        lock: what its build was locked to; ``None`` for what was taken.
        inputs: names what it was built from, whatever the target; ``None`` for what was taken.
        cpu: the CPU that it was compiled for, as zig spells it.
        is_kept: whether it was in the cache.
        instead_of: the target's own wheel, where this is another target's that passed the audit as well.
    """

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
    lock: BuildLock | None = None
    materials: Materials | None = None
    parity: str | None = None
    sandbox: SandboxLevel | None = None
    traces: Mapping[str, int] = Field(default_factory=dict)
    inputs: str | None = None
    cpu: str | None = None
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    is_kept: bool = False
    instead_of: WheelRecord | None = None

    @classmethod
    def read(cls, folder: Path) -> WheelRecord | None:
        """Read a folder's record; return ``None`` if there is none, or if record or wheel were changed since."""
        text = read_sealed(folder / "made.json")
        try:
            record = cls.model_validate_json(text) if text is not None else None
        except ValidationError:  # written by another version
            return None
        if record is None or not record.wheel.is_file() or sha256_of(record.wheel) != record.sha256:
            return None
        return record.model_copy(update={"is_kept": True})

    def agrees(self, tool: str, version: str | None) -> bool:
        """Return whether the build used this version; true where it used none or ``version`` is ``None``."""
        return version is None or self.toolchain.get(tool, version) == version

    def write(self, folder: Path) -> None:
        """Write the record to a folder of the cache."""
        write_sealed(folder / "made.json", self.model_dump_json(indent=1, exclude={"is_kept", "instead_of"}))
