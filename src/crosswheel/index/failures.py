"""What could not be built: kept beside the wheels, so that the status page can say so and why."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from crosswheel.files import write_text
from crosswheel.index.overview import Overview
from crosswheel.wheels.layout import FAILURE_SUFFIX


class Failure(BaseModel):
    """A package that could not be built, or was refused, for a target.

    Attributes:
        name: the project's normalised name.
        version: the version.
        target: name of the target.
        step: what was being done, such as ``build`` or ``check``.
        message: what happened.
        hint: what to do next.
        failed: when, UTC.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    target: str
    step: str
    message: str
    hint: str
    failed: datetime.datetime

    def write(self, dist: Path) -> Path:
        """Write it where the wheel would have been: ``dist/<name>/<version>/<target>.failed.json``."""
        path = dist / self.name / self.version / f"{self.target}{FAILURE_SUFFIX}"
        write_text(path, self.model_dump_json(indent=1) + "\n")
        return path


class Failures(BaseModel):
    """What could not be built, the newest first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    failures: tuple[Failure, ...] = ()


def read_failures(paths: Iterable[Path]) -> Failures:
    """Read what could not be built, the newest first; a file that says something else is passed over."""
    found = filter(None, map(_read, paths))
    newest_first = sorted(found, key=lambda failure: (failure.failed, failure.name), reverse=True)
    return Failures(failures=tuple(newest_first))


def _read(path: Path) -> Failure | None:
    try:
        return Failure.model_validate_json(path.read_bytes())
    except ValidationError:
        return None


def still_failing(failures: Iterable[Failure], projects: Mapping[str, Overview]) -> list[Failure]:
    """Return the failures that were not overcome: no wheel of that version was proven on that target."""
    proven = {name: set(project.proven) for name, project in projects.items()}
    return [f for f in failures if (f.target, f.version) not in proven.get(f.name, ())]
