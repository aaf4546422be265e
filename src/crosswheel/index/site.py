"""Wheels below ``dist/`` → a static site that any file store can serve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from packaging.version import Version

from crosswheel.check.proof import SUFFIX as PROOF_SUFFIX
from crosswheel.errors import IntegrityError, UsageError
from crosswheel.files import explained_storage_errors, place_copy, write_bytes, write_text
from crosswheel.index import simple
from crosswheel.index.entry import IndexedWheel, read_wheel

METADATA_SUFFIX = ".metadata"


@dataclass(frozen=True)
class IndexSummary:
    """What an index holds after it was written."""

    site: Path
    projects: int
    wheels: int
    bytes: int


def write_site(dist: Path, site: Path, *, root_url: Optional[str] = None) -> IndexSummary:
    """Make the index of all wheels below ``dist``; what is not there any more leaves the index too.

    All wheels are read before anything is written: if one is bad, the site stays as it was. A wheel is in
    its place before a page names it, and no page names it before it is removed, so the site can be served
    meanwhile.

    Args:
        dist: a folder with wheels at any depth, as ``dist/<name>/<version>/*.whl``.
        site: where the site goes; pip is pointed at ``simple/`` below it.
        root_url: what the site's URL will be, for absolute links; links are relative without it.

    Raises:
        UsageError: there is no such folder.
        IntegrityError: a wheel is damaged or not what its name says, or two differ under one name.
        StorageError: the site cannot be written.
    """
    projects = _by_project(_read_all(dist))
    base = "" if root_url is None else root_url.rstrip("/") + "/simple/"
    folder = site / "simple"
    with explained_storage_errors(site):
        for name, wheels in projects.items():
            _write_project(folder / name, name, wheels, f"{base}{name}/" if base else "")
        write_text(folder / "index.html", simple.project_list_html(list(projects), base))
        write_text(folder / "index.json", simple.project_list_json(list(projects)))
        _remove_vanished(folder, projects)
    wheels = [wheel for group in projects.values() for wheel in group]
    return IndexSummary(site, len(projects), len(wheels), sum(wheel.entry.size for wheel in wheels))


def _read_all(dist: Path) -> list[IndexedWheel]:
    if not dist.is_dir():
        raise UsageError(f"there is no folder {dist}", hint="build packages first, or give --dist-tree-root.")
    found: dict[str, IndexedWheel] = {}
    for path in sorted(dist.rglob("*.whl")):
        wheel = read_wheel(path)
        other = found.setdefault(path.name, wheel)
        if other.entry.sha256 != wheel.entry.sha256:
            raise IntegrityError(
                f"{other.path} and {path} have the same name and different contents",
                hint="remove the one that is wrong; the index is as it was.",
            )
    return list(found.values())


def _by_project(wheels: Sequence[IndexedWheel]) -> dict[str, list[IndexedWheel]]:
    """Group wheels by project, in the order of names; in each the oldest version first."""
    projects: dict[str, list[IndexedWheel]] = {}
    for wheel in sorted(wheels, key=lambda w: (w.entry.name, Version(w.entry.version), w.entry.filename)):
        projects.setdefault(wheel.entry.name, []).append(wheel)
    return projects


def _write_project(folder: Path, name: str, wheels: Sequence[IndexedWheel], base: str) -> None:
    for wheel in wheels:
        place_copy(wheel.path, folder / wheel.path.name)
        write_bytes(folder / (wheel.path.name + METADATA_SUFFIX), wheel.metadata)
        proof = wheel.path.with_name(wheel.path.name + PROOF_SUFFIX)
        if proof.is_file():
            place_copy(proof, folder / proof.name)
    entries = [wheel.entry for wheel in wheels]
    write_text(folder / "index.html", simple.project_html(name, entries, base))
    write_text(folder / "index.json", simple.project_json(name, entries, base))


def _remove_vanished(folder: Path, projects: Mapping[str, Sequence[IndexedWheel]]) -> None:
    """Remove what an earlier index had and this one has not, and nothing that no index ever wrote."""
    for project in folder.iterdir():
        if not project.is_dir():
            continue
        kept = {wheel.path.name for wheel in projects.get(project.name, ())}
        for file in list(project.iterdir()):
            wheel = file.name.split(".whl")[0] + ".whl"
            page = file.name in ("index.html", "index.json")
            if (page and not kept) or (".whl" in file.name and wheel not in kept):
                file.unlink()
        if not any(project.iterdir()):
            project.rmdir()
