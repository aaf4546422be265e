"""Record failed builds next to the wheels, so that the status page can show them with the reason."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from crosswheel.files import write_text
from crosswheel.index.overview import Overview
from crosswheel.versions import same_version
from crosswheel.wheels.layout import FAILURE_SUFFIX


class Failure(BaseModel):
    """A package that could not be built for a target, or was refused for it.

    Attributes:
        name: the project's normalised name.
        version: the version.
        target: name of the target.
        step: the step that failed, such as ``build`` or ``check``.
        message: what happened.
        hint: what to do next.
        failed: the time of the failure, UTC.
    """

    model_config = ConfigDict(
        frozen=True, extra="ignore"
    )  # another version of crosswheel may have written it

    name: str
    version: str
    target: str
    step: str
    message: str
    hint: str
    failed: datetime.datetime

    def write(self, folder: Path) -> Path:
        """Write the failure into its release's folder, next to where the wheel would be: ``<target>.failed.json``."""
        path = folder / f"{self.target}{FAILURE_SUFFIX}"
        write_text(path, self.model_dump_json(indent=1) + "\n")
        return path


class Failures(BaseModel):
    """Failed builds, the newest first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    failures: tuple[Failure, ...] = ()


def read_failures(paths: Iterable[Path]) -> Failures:
    """Read failed builds, the newest first; ignore files with other contents."""
    failures = filter(None, map(_read, paths))
    newest_first = sorted(failures, key=lambda failure: (failure.failed, failure.name), reverse=True)
    return Failures(failures=tuple(newest_first))


def _read(path: Path) -> Failure | None:
    try:
        return Failure.model_validate_json(path.read_bytes())
    except ValidationError:
        return None


def still_failing(failures: Iterable[Failure], projects: Mapping[str, Overview]) -> list[Failure]:
    """Return the failures that still stand: no wheel of that version has been proven on that target."""
    return [failure for failure in failures if not _is_overcome(failure, projects.get(failure.name))]


def _is_overcome(failure: Failure, project: Overview | None) -> bool:
    proven = project.proven if project else ()
    return any(
        target == failure.target and same_version(version, failure.version) for target, version in proven
    )
