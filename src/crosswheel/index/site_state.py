"""Keep an index's inputs, so that the next run reads only new wheels and writes only changed pages."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from crosswheel.errors import ToolchainError
from crosswheel.files import new_file, write_text
from crosswheel.index.batches import Batch
from crosswheel.index.failures import Failures
from crosswheel.index.overview import Overview
from crosswheel.index.owner import STATE_FILE, UNFINISHED
from crosswheel.index.people import project_path, target_path
from crosswheel.index.project_reading import KnownProject
from crosswheel.index.simple import list_pages, simple_pages
from crosswheel.wheels.layout import LOG_SUFFIX, METADATA_SUFFIX, SIDECAR_SUFFIXES

# The code that wheels and pages pass through on their way into a site, below the package's folder; a test compares it
# with the imports. Other dependencies are covered by their versions.
MADE_BY = ("errors.py", "files.py", "index", "targets", "toolchain/python", "versions.py", "wheels")
LIBRARIES = (
    "comrak", "docutils", "jinja2", "markupsafe", "nh3", "packaging", "pydantic", "pygments", "readme-renderer",
)  # fmt: skip


@dataclass(frozen=True)
class ProjectPart:
    """A project's part of a site.

    Attributes:
        made_from: the digest of all inputs of its pages.
        project: what was read.
    """

    made_from: str
    project: KnownProject


@dataclass(frozen=True)
class SiteState:
    """The inputs of a site; a hidden file in the site keeps them, and marks the site as crosswheel's.

    The file's first line holds everything but the wheels. Each project's wheels follow in a line of their own, which is
    parsed only when needed. :func:`named` reads the file of any version.

    Attributes:
        reader: identifies the code that read the wheels; parts that other code read are not reused.
        parts: the parts of the site by the normalised name of the project, in the order of names.
        failures: the failed builds.
        batches: where batches stand.
        finished: whether the whole site was written.
    """

    reader: str
    parts: Mapping[str, ProjectPart] = field(default_factory=dict)
    failures: Failures = field(default_factory=Failures)
    batches: tuple[Batch, ...] = ()
    finished: bool = True

    @classmethod
    def load(cls, site: Path) -> SiteState:
        """Return a site's state; an unfinished, empty one if it has none, or if other code wrote it."""
        reader = code_digest()
        unknown = cls(reader, finished=False)
        try:
            with (site / STATE_FILE).open("rb") as stream:
                header = _FirstLine.model_validate_json(stream.readline())
                lines = [line.rstrip(b"\n") for line in stream]
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return unknown
        if header.reader != reader or len(lines) != len(header.projects):
            return unknown
        unfinished_paths = _unfinished(site)
        unfinished = {_project_of(path) if "/" in path else path for path in unfinished_paths or ()}
        parts = {
            name: part.with_wheels(line)
            for (name, part), line in zip(header.projects.items(), lines)
            if name not in unfinished
        }
        return cls(reader, parts, header.failures, header.batches, unfinished_paths is None)

    def save(self, site: Path) -> None:
        """Write the state into a finished site."""
        first = _FirstLine(
            reader=self.reader,
            failures=self.failures,
            batches=self.batches,
            projects={name: _ProjectHeader.of(part) for name, part in self.parts.items()},
        )
        with new_file(site / STATE_FILE) as temporary, temporary.open("wb") as stream:
            stream.write(first.model_dump_json().encode() + b"\n")
            for part in self.parts.values():
                stream.write(part.project.wheels + b"\n")
        (site / UNFINISHED).unlink(missing_ok=True)


def begin(site: Path, files: Mapping[str, Iterable[str]]) -> None:
    """Record the project files that are about to be written, and mark the state invalid until it is saved.

    Args:
        site: the site.
        files: the paths of projects' files, by the projects' normalised names.
    """
    paths = {path for of_project in files.values() for path in of_project}
    # A killed process may have left unfinished files there, too.
    write_text(
        site / UNFINISHED, "".join(f"{path}\n" for path in sorted(paths | (_unfinished(site) or frozenset())))
    )


def _unfinished(site: Path) -> frozenset[str] | None:
    """Return the paths that an unfinished run writes, or a killed one left; ``None`` if there is no such run."""
    try:
        return frozenset((site / UNFINISHED).read_text().splitlines())
    except FileNotFoundError:
        return None


def named(site: Path, paths: Iterable[str]) -> list[str]:
    """Return those of these paths that a site's state names, which means that an index wrote them.

    The state may be of any version of crosswheel. A state that cannot be parsed names no file.
    """
    candidates = list(paths)
    if not candidates:
        return []
    projects = {_project_of(path) for path in candidates}
    files = set(_unfinished(site) or ())
    with contextlib.suppress(FileNotFoundError, ValueError, LookupError, TypeError, AttributeError):
        first, *lines = (site / STATE_FILE).read_bytes().splitlines()
        for (name, entry), line in zip(json.loads(first)["projects"].items(), lines):
            targets = entry["overview"].get("offered", ())
            files.update(page for target in targets for page in list_pages(f"{target}/"))
            files.update(map(target_path, targets))
            if name in projects:
                files.update(f"simple/{name}/{file}" for file in _names(json.loads(line), entry["logs"]))
                files.update(page for target in targets for page in simple_pages(name, f"{target}/"))
    pages = {project_path(_project_of(path)) for path in files if "/" in path}
    return [path for path in candidates if path in files or path in pages]


def _project_of(path: str) -> str:
    """Return the project that a path in a site belongs to: its page, its folder, or its folder of a target."""
    first, *parts = path.split("/")
    return (parts if first in ("project", "simple") else parts[1:] or parts)[0].removesuffix(".html")


def _names(wheels: Iterable[Mapping[str, Any]], logs: Iterable[str]) -> Iterator[str]:
    """Yield the names of the files in a project's folder of ``simple/``, as a state records them."""
    yield from ("index.html", "index.json", *(path + LOG_SUFFIX for path in logs))
    for wheel in wheels:
        filename, apart = wheel["entry"]["filename"], wheel["entry"].get("apart")
        sidecars = (name for name, *_ in wheel["found"]["stamp"] if name.endswith(SIDECAR_SUFFIXES))
        for name in (filename, filename + METADATA_SUFFIX, *sidecars):
            yield f"{apart}/{name}" if apart else name


class _ProjectHeader(BaseModel):
    """A project's entry in the first line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    made_from: str
    read_from: str
    overview: Overview
    requires: tuple[str, ...]
    logs: Mapping[str, str]
    apart: Mapping[str, str]

    @classmethod
    def of(cls, part: ProjectPart) -> _ProjectHeader:
        project = part.project
        return cls.model_construct(  # trusted values; checking them takes longer than writing them
            made_from=part.made_from,
            read_from=project.read_from,
            overview=project.overview,
            requires=project.requires,
            logs=project.logs,
            apart=project.apart,
        )

    def with_wheels(self, wheels: bytes) -> ProjectPart:
        header = (self.read_from, self.overview, self.requires, self.logs, self.apart)
        return ProjectPart(self.made_from, KnownProject(*header, wheels))


class _FirstLine(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    reader: str
    failures: Failures
    batches: tuple[Batch, ...] = ()
    projects: Mapping[str, _ProjectHeader]


def code_digest(root: Path | None = None, parts: Sequence[str] = MADE_BY) -> str:
    """Return a digest of the code, templates and libraries that decide how wheels are read and what pages show.

    Args:
        root: the package's folder, if it is not crosswheel's own.
        parts: the folders and files below it that decide.

    Raises:
        ToolchainError: one of ``parts`` is missing or empty.
    """
    root = root or Path(str(resources.files("crosswheel")))
    digest = hashlib.sha256()
    for library in LIBRARIES:
        digest.update(f"{library} {metadata.version(library)}\n".encode())
    for part in parts:
        files = [root / part] if (root / part).is_file() else sorted(_files(root / part))
        if not files:
            raise ToolchainError(
                f"{root} has no {part}, so what it makes cannot be named",
                hint="install crosswheel anew: its own files are missing.",
            )
        for file in files:
            data = file.read_bytes()
            digest.update(f"{file.relative_to(root)} {len(data)}\n".encode())
            digest.update(data)
    return digest.hexdigest()[:20]


def _files(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        yield from (Path(parent, name) for name in names)
