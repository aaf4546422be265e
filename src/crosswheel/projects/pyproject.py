"""Read a project's pyproject.toml and those of related projects, without running any code."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from packaging.dependency_groups import resolve_dependency_groups
from packaging.utils import canonicalize_name

from crosswheel.errors import UsageError
from crosswheel.projects.addresses import Archive, Location
from crosswheel.recipes.model import GitSource

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FILES = ("pyproject.toml", "setup.py")


@dataclass(frozen=True)
class ProjectFolder:
    """A folder with a Python project in it, or a workspace of several."""

    folder: Path

    @cached_property
    def document(self) -> Mapping[str, Any]:
        """Its pyproject.toml; empty if there is none.

        Raises:
            UsageError: it cannot be read.
        """
        path = self.folder / "pyproject.toml"
        try:
            return tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} cannot be read: {error}", hint="mend that line.") from error

    @property
    def is_built(self) -> bool:
        """Whether a wheel can be built from it: it has a build system, metadata, or a setup.py."""
        return (
            (self.folder / "setup.py").is_file()
            or "project" in self.document
            or "build-system" in self.document
            or "poetry" in self.document.get("tool", {})
        )

    @property
    def name(self) -> str | None:
        """Its normalised name, if stated."""
        poetry = self.document.get("tool", {}).get("poetry", {})
        name = self.document.get("project", {}).get("name") or poetry.get("name")
        return canonicalize_name(str(name)) if name else None

    def group(self, name: str) -> tuple[str, ...]:
        """Return the requirements of a dependency group (PEP 735).

        Raises:
            UsageError: it has no such group, or the group cannot be read.
        """
        groups = self.document.get("dependency-groups", {})
        if canonicalize_name(name) not in map(canonicalize_name, groups):
            raise UsageError(
                f"{self.folder / 'pyproject.toml'} has no dependency group {name}",
                hint=f"it has: {', '.join(sorted(groups)) or 'none'}.",
            )
        try:
            return tuple(resolve_dependency_groups(groups, name))
        except Exception as error:  # various errors, in an exception group
            reasons = "; ".join(map(str, getattr(error, "exceptions", (error,))))
            raise UsageError(
                f"the dependency group {name} in {self.folder / 'pyproject.toml'} is wrong: {reasons}",
                hint="mend it: a group is a list of requirements, and of tables with include-group (PEP 735).",
            ) from error

    @cached_property
    def workspace(self) -> ProjectFolder | None:
        """The uv workspace that contains it: the nearest folder, itself included, that has it as a member."""
        for folder in (self.folder, *self.folder.parents):
            candidate = ProjectFolder(folder) if (folder / "pyproject.toml").is_file() else None
            if candidate and candidate._table is not None:
                members = [member.folder for member in candidate.members]
                return candidate if self.folder in (folder, *members) else None
        return None

    @property
    def _table(self) -> Mapping[str, Any] | None:
        table: Mapping[str, Any] | None = self.document.get("tool", {}).get("uv", {}).get("workspace")
        return table

    @cached_property
    def members(self) -> tuple[ProjectFolder, ...]:
        """The other members of a uv workspace; empty if it is not a workspace."""
        table = self._table or {}
        left_out = {path for pattern in table.get("exclude", ()) for path in self.folder.glob(pattern)}
        folders = (path for pattern in table.get("members", ()) for path in sorted(self.folder.glob(pattern)))
        return tuple(
            ProjectFolder(path.resolve())
            for path in dict.fromkeys(folders)
            if path not in left_out and (path / "pyproject.toml").is_file()
        )

    def neighbours(self) -> Mapping[str, Location]:
        """Return the locations of requirements outside any registry, by name: uv's sources, and Poetry's paths.

        Raises:
            UsageError: a source is not supported.
        """
        workspace = self.workspace
        tables = [*([workspace] if workspace else []), self]
        sources = {
            canonicalize_name(name): (where, entry)
            for where in tables
            for name, entry in where.document.get("tool", {}).get("uv", {}).get("sources", {}).items()
        }
        return {
            name: location
            for name, (where, entry) in sources.items()
            if (location := self._location(name, where, entry)) is not None
        }

    @property
    def indexes(self) -> Mapping[str, str]:
        """The private registry of each requirement, by name: uv's sources with ``index``."""
        sources = self.document.get("tool", {}).get("uv", {}).get("sources", {})
        return {
            canonicalize_name(name): str(entry["index"])
            for name, entry in sources.items()
            if isinstance(entry, Mapping) and "index" in entry
        }

    def _location(self, name: str, where: ProjectFolder, entry: Any) -> Location | None:
        """Return the location of a uv source; ``None`` if it names a registry."""
        if isinstance(entry, list):
            raise UsageError(
                f"{where.folder / 'pyproject.toml'} has several sources of {name}, each for other machines",
                hint="leave the one that is for the robot, or name the requirement on the command line.",
            )
        if entry.get("workspace"):
            member = self._member(name)
            if member is None:
                raise UsageError(
                    f"{name} is said to be in the workspace, and no member of it has that name",
                    hint=f"correct [tool.uv.workspace] in {where.folder / 'pyproject.toml'}.",
                )
            return member.folder
        if "path" in entry:
            path: Path = (where.folder / str(entry["path"])).resolve()
            return path
        if "git" in entry:
            ref = entry.get("tag") or entry.get("rev") or entry.get("branch") or "HEAD"
            return GitSource(url=entry["git"], ref=ref, path=entry.get("subdirectory"))
        return Archive(entry["url"]) if "url" in entry else None

    def _member(self, name: str) -> ProjectFolder | None:
        workspace = self.workspace
        every: Iterable[ProjectFolder] = (workspace, *workspace.members) if workspace else ()
        return next((member for member in every if member.name == name), None)


def projects_in(folder: Path) -> tuple[ProjectFolder, ...]:
    """Return the projects of a folder: its own, a workspace's members, or those in the folders below.

    Raises:
        UsageError: there is no such folder, or no project in it.
    """
    if not folder.is_dir():
        raise UsageError(
            f"there is no folder {folder}",
            hint="check the path; a package of the registry is named without one.",
        )
    project = ProjectFolder(folder)
    if project.is_built:
        return (project,)
    below = project.members or tuple(_below(folder))
    if below:
        return below
    if (folder / "pyproject.toml").is_file():
        raise UsageError(
            f"{folder / 'pyproject.toml'} states neither a build system nor a project",
            hint="add the tables [build-system] and [project] (PEP 517, PEP 621), with a name and a version.",
        )
    raise UsageError(
        f"{folder} holds no Python project: neither pyproject.toml nor setup.py, also not in the folders below it",
        hint="name the folder that has one of them.",
    )


def _below(folder: Path) -> Iterator[ProjectFolder]:
    for path in sorted(folder.iterdir()):
        if (
            path.is_dir()
            and not path.name.startswith(".")
            and any((path / name).is_file() for name in _FILES)
        ):
            project = ProjectFolder(path)
            if project.is_built:
                yield project
