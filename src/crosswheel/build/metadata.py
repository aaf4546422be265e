"""Determine the requirements of a source's future wheel, from static metadata or from its build backend."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from packaging.metadata import RawMetadata, parse_email
from packaging.requirements import Requirement
from packaging.version import Version

from crosswheel.build import Backend, Project
from crosswheel.build.crates import fetch_crates
from crosswheel.build.requirements import SETUP_PY, LockedRequirements, pyproject
from crosswheel.uv import ReleaseMetadata
from crosswheel.wheels.legacy import repaired_requirement, repaired_specifiers

_FIRST_STATIC = Version("2.2")
_REQUIRES = frozenset({"requires-dist", "provides-extra", "requires-python"})


def stated_metadata(project: Project) -> ReleaseMetadata | None:
    """Return a project's static metadata; ``None`` if only its build backend knows.

    An sdist has it in PKG-INFO (PEP 643), unless a recipe's patches change it. Any project may have it in the table
    ``[project]`` (PEP 621), but setuptools may override that table if there is a setup.py.
    """
    patched = project.recipe and (project.recipe.patches or project.recipe.source)
    info = project.tree / "PKG-INFO"
    if not patched and info.is_file():
        raw, _ = parse_email(info.read_bytes())
        dynamic = {field.lower() for field in raw.get("dynamic", [])}
        if Version(raw.get("metadata_version", "1.0")) >= _FIRST_STATIC and not dynamic & _REQUIRES:
            return _released(project, raw)
    table = pyproject(project.tree).get("project")
    dynamic = set(table.get("dynamic", [])) if table else set()
    by_setup_py = (project.tree / "setup.py").is_file()
    if table is None or by_setup_py or dynamic & {"dependencies", "optional-dependencies", "requires-python"}:
        return None
    return _of_table(project, table)


def asked_metadata(project: Project, backend: Backend, locked: LockedRequirements) -> ReleaseMetadata:
    """Ask a project's build backend as a build does: installed on this machine, answering for the target.

    Raises:
        BuildFailed: it fails, or its answer cannot be read.
    """
    return _released(project, asked_raw_metadata(project, backend, locked))


def asked_raw_metadata(project: Project, backend: Backend, locked: LockedRequirements) -> RawMetadata:
    """Ask the same, and return the complete answer, name and version included.

    Raises: as :func:`asked_metadata`.
    """
    folder = project.folder / "metadata"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if locked.needs_rust:
        fetch_crates(backend.tree, backend.variables(), backend.runner)
    if project.recipe and project.recipe.setup_py_commands:  # for these, only setuptools is installed
        backend = replace(backend, system=replace(backend.system, backend=SETUP_PY))
    raw, _ = parse_email(backend.prepare_metadata(folder, project.config))
    return raw


def _released(project: Project, raw: RawMetadata) -> ReleaseMetadata:
    return ReleaseMetadata(
        name=project.name,
        version=project.version,
        requires_dist=tuple(map(repaired_requirement, raw.get("requires_dist", ()))),
        provides_extra=tuple(raw.get("provides_extra", ())),
        requires_python=repaired_specifiers(raw.get("requires_python", "")) or None,
    )


def _of_table(project: Project, table: Mapping[str, Any]) -> ReleaseMetadata:
    optional: Mapping[str, list[str]] = table.get("optional-dependencies", {})
    added = (_with_extra(text, extra) for extra, texts in optional.items() for text in texts)
    return ReleaseMetadata(
        name=project.name,
        version=project.version,
        requires_dist=(*table.get("dependencies", ()), *added),
        provides_extra=tuple(optional),
        requires_python=table.get("requires-python"),
    )


def _with_extra(text: str, extra: str) -> str:
    requirement = Requirement(text)
    marker = f"({requirement.marker}) and " if requirement.marker else ""
    requirement.marker = None
    return f"{requirement} ; {marker}extra == '{extra}'"
