"""What an index was made from: lets the next one read only new wheels, and write only changed pages."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import metadata, resources
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from crosswheel.files import write_bytes, write_text
from crosswheel.index.failures import Failures
from crosswheel.index.overview import Overview
from crosswheel.index.reading import Project

_FILE = ".crosswheel.json"
_UNFINISHED = ".crosswheel.unfinished"
"""The names of the projects whose parts of the site are about to be written; gone when all is written."""


@dataclass(frozen=True)
class Part:
    """A project's part of a site.

    Attributes:
        made_from: digest of all that its pages were made from.
        project: what was read.
    """

    made_from: str
    project: Project


@dataclass(frozen=True)
class State:
    """What a site was made from; lies in the site as a hidden file, and may be deleted at any time.

    The file's first line says all but the wheels; they follow, those of each project in a line of their own, which is
    parsed only if it is needed.

    Attributes:
        reader: what read the wheels; parts of another are not taken over.
        parts: the parts of the site by the normalised name of the project, in the order of names.
        failures: what could not be built.
        finished: whether all of the site was written.
    """

    reader: str
    parts: Mapping[str, Part] = field(default_factory=dict)
    failures: Failures = field(default_factory=Failures)
    finished: bool = True

    @classmethod
    def load(cls, site: Path) -> State:
        """Return a site's state; an empty one, not finished, if it has none, or one that other code wrote."""
        reader = code_digest()
        unknown = cls(reader, finished=False)
        try:
            first, *lines = (site / _FILE).read_bytes().splitlines()
            said = _FirstLine.model_validate_json(first)
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return unknown
        if said.reader != reader or len(lines) != len(said.projects):
            return unknown
        unfinished = _unfinished(site)
        parts = {
            name: part.with_wheels(line)
            for (name, part), line in zip(said.projects.items(), lines)
            if unfinished is None or name not in unfinished
        }
        return cls(reader, parts, said.failures, unfinished is None)

    def save(self, site: Path) -> None:
        """Write the state of a site that is finished into it."""
        first = _FirstLine(
            reader=self.reader,
            failures=self.failures,
            projects={name: _Said.of(part) for name, part in self.parts.items()},
        )
        lines = [first.model_dump_json().encode(), *(part.project.wheels for part in self.parts.values())]
        write_bytes(site / _FILE, b"\n".join(lines) + b"\n")
        (site / _UNFINISHED).unlink(missing_ok=True)


def begin(site: Path, names: Iterable[str]) -> None:
    """Write down that what is said of these projects does not hold until the state is saved again."""
    write_text(site / _UNFINISHED, "".join(f"{name}\n" for name in names))


def _unfinished(site: Path) -> frozenset[str] | None:
    try:
        return frozenset((site / _UNFINISHED).read_text().splitlines())
    except FileNotFoundError:
        return None


class _Said(BaseModel):
    """What the first line says of a project."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    made_from: str
    read_from: str
    overview: Overview
    requires: tuple[str, ...]
    logs: Mapping[str, str]

    @classmethod
    def of(cls, part: Part) -> _Said:
        project = part.project
        return cls.model_construct(  # of values that are right: checking them takes longer than writing them
            made_from=part.made_from,
            read_from=project.read_from,
            overview=project.overview,
            requires=project.requires,
            logs=project.logs,
        )

    def with_wheels(self, wheels: bytes) -> Part:
        return Part(self.made_from, Project(self.read_from, self.overview, self.requires, self.logs, wheels))


class _FirstLine(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    reader: str
    failures: Failures
    projects: Mapping[str, _Said]


def code_digest() -> str:
    """Return a digest of the code, templates and libraries that decide what pages look like."""
    digest = hashlib.sha256()
    for library in ("jinja2", "nh3", "packaging", "readme-renderer"):
        digest.update(f"{library} {metadata.version(library)}\n".encode())
    pending = [resources.files("crosswheel.index")]
    while pending:
        for item in sorted(pending.pop().iterdir(), key=lambda item: item.name):
            if item.is_dir() and item.name != "__pycache__":
                pending.append(item)
            elif item.is_file():
                digest.update(item.read_bytes())
    return digest.hexdigest()[:20]
