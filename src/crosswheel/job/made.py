"""A wheel that was taken or built and passed what can be seen without running it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Optional

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from crosswheel.check import AuditedObject
from crosswheel.files import write_text
from crosswheel.targets import Target


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
    audited: tuple[AuditedObject, ...] = ()
    toolchain: Mapping[str, str] = Field(default_factory=dict)
    build_requirements: tuple[str, ...] = ()
    parity: Optional[str] = None
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    found: bool = False

    @classmethod
    def read(cls, folder: Path) -> Optional[Made]:
        """Read what was made before, or return ``None``."""
        try:
            made = cls.model_validate_json((folder / "made.json").read_bytes())
        except (FileNotFoundError, ValidationError):  # absent, or written by another version
            return None
        return made.model_copy(update={"found": True}) if made.wheel.is_file() else None

    def write(self, folder: Path) -> None:
        """Write it to a folder of the cache."""
        write_text(folder / "made.json", self.model_dump_json(indent=1, exclude={"found"}))


def closure(
    names: Sequence[str], made: Mapping[str, Made], locked: frozenset[str], target: Target
) -> tuple[set[str], set[str]]:
    """Follow the requirements of wheels through those that it leads to, as pip on the target would.

    Returns:
        The names of all wheels that were reached, these included; and those of the lock that are not made yet, whose
        own requirements are therefore unknown.
    """
    reached: set[str] = set()
    missing: set[str] = set()
    seen: set[tuple[str, str]] = set()
    todo = [(name, "") for name in names]
    while todo:
        current, extra = todo.pop()
        if (current, extra) in seen or current not in locked:
            continue
        seen.add((current, extra))
        if current not in made:
            missing.add(current)
            continue
        reached.add(current)
        for text in made[current].requires:
            requirement = Requirement(text)
            environment = {**target.marker_environment, "extra": extra}
            if requirement.marker is None or requirement.marker.evaluate(environment):
                needed = canonicalize_name(requirement.name)
                todo += [(needed, ""), *((needed, wanted) for wanted in requirement.extras)]
    return reached, missing
