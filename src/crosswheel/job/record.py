"""The record of a wheel in hand: where it came from, and what the audit found."""

from __future__ import annotations

import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from crosswheel.check.modules import Compiled
from crosswheel.files import sha256_of
from crosswheel.signing.seals import Seals
from crosswheel.wheels.materials import Materials
from crosswheel.wheels.proof import WheelFacts
from crosswheel.wheels.reading import WheelModules

OF_THIS_MACHINE = ("wheel", "is_kept", "instead_of", "shared_as")
"""What of a record says nothing to other machines."""


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


class WheelRecord(WheelFacts):
    """A wheel that passed its audit: its path, its origin, and what the audit found; the cache keeps it as JSON.

    Attributes:
        wheel: where it lies in the cache.
        size: of its file, in bytes.
        requires: its requirements (PEP 508).
        modules: what of it can be imported.
        compiled: what compiling its modules for the target showed.
        lock: what its build was locked to; ``None`` for what was taken.
        warnings: what the user should know of it.
        is_kept: whether it was in the cache.
        shared_as: the digest by which a shared cache is to get it, if it came from none.
        instead_of: the target's own wheel, where this is another target's that passed the audit as well.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    wheel: Path
    size: int
    requires: tuple[str, ...] = ()
    modules: WheelModules = WheelModules()
    compiled: Compiled = Compiled()
    lock: BuildLock | None = None
    materials: Materials | None = None
    warnings: tuple[str, ...] = ()
    is_kept: bool = False
    instead_of: WheelRecord | None = None
    shared_as: str | None = None

    @classmethod
    def read(cls, folder: Path, seals: Seals) -> WheelRecord | None:
        """Read a folder's record; return ``None`` if there is none, or if record or wheel were changed since."""
        text = seals.read(folder / "made.json", folder.name)
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

    def write(self, folder: Path, digest: str, seals: Seals) -> None:
        """Write the record to a folder of the cache, which is, or becomes, that of a digest."""
        text = self.model_dump_json(indent=1, exclude={"is_kept", "instead_of", "shared_as"})
        seals.write(folder / "made.json", digest, text)
