"""Defines the record of a wheel in hand: where it came from, and what its audit found."""

from __future__ import annotations

import datetime
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from crosswheel.check.modules import Compiled
from crosswheel.files import new_folder, remove_tree, sha256_of
from crosswheel.plan import NOTHING, Asked
from crosswheel.seals import Seals
from crosswheel.wheels.materials import Materials
from crosswheel.wheels.proof import WheelFacts
from crosswheel.wheels.reading import WheelModules

OF_THIS_MACHINE = ("wheel", "is_kept", "instead_of", "shared_as")
"""The fields of a record that mean nothing to other machines."""


class BuildLock(BaseModel):
    """The locked inputs of a build, beside its recipe.

    Attributes:
        sdist: the SHA-256 of the source, if it is the lock's sdist.
        requirements: the text of the locked build requirements.
        as_of: the day that they were resolved as of, if one was given.
        day: the day that stands for "now" where none was given.
        asked: what its build asked for beside what its recipe states.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sdist: str | None
    requirements: str
    as_of: datetime.date | None
    day: datetime.date | None
    asked: Asked = NOTHING


class WheelRecord(WheelFacts):
    """A wheel that passed its audit: its path, its origin, and what the audit found; the cache keeps it as JSON.

    Attributes:
        wheel: its path in the cache.
        size: the size of its file, in bytes.
        requires: its requirements (PEP 508).
        modules: the modules that can be imported.
        compiled: the result of compiling its modules for the target.
        lock: the locked inputs of its build; ``None`` if it was taken.
        warnings: warnings for the user.
        is_kept: whether it was in the cache.
        shared_as: the digest under which to store it in a shared cache; ``None`` if it came from one.
        instead_of: this target's own wheel, if another target's wheel is used because that passed the audit, too.
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
        """Read a folder's record; return ``None`` if there is none, or if the record or the wheel was changed since."""
        text = seals.read(folder / "made.json", folder.name)
        try:
            record = cls.model_validate_json(text) if text is not None else None
        except ValidationError:  # written by another version
            return None
        if record is None:
            return None
        # Of the path alone: a kind of the cache may be a link to another disk.
        wheel = Path(os.path.normpath(folder / record.wheel))
        if not wheel.is_file() or sha256_of(wheel) != record.sha256:
            return None
        return record.model_copy(update={"is_kept": True, "wheel": wheel})

    def agrees(self, tool: str, version: str | None) -> bool:
        """Tell whether the build used a tool's version; true if it did not use the tool, or ``version`` is ``None``."""
        return version is None or self.toolchain.get(tool, version) == version

    def write(self, folder: Path, digest: str, seals: Seals) -> None:
        """Write the record to a folder of the cache, which is, or becomes, that of a digest.

        A wheel in the cache is named relative to that folder, so that it is found where the cache is moved to.
        """
        within = self.wheel.is_relative_to(folder.parents[1])
        wheel = os.path.relpath(self.wheel, folder.with_name(digest)) if within else self.wheel
        written = self.model_copy(update={"wheel": Path(wheel)})
        text = written.model_dump_json(indent=1, exclude={"is_kept", "instead_of", "shared_as"})
        seals.write(folder / "made.json", digest, text)

    def keep(self, folder: Path, files: Iterable[Path], seals: Seals) -> None:
        """Put the record and copies of files into a folder of the cache, which replaces a damaged one.

        If another process put them there meanwhile, those stay.
        """
        if WheelRecord.read(folder, seals) is None:
            remove_tree(folder)
        with new_folder(folder) as temporary:
            for file in files:
                shutil.copyfile(file, temporary / file.name)
            self.write(temporary, folder.name, seals)
