"""Wheels below ``dist/`` → a static site that any file store can serve."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from crosswheel.errors import UsageError
from crosswheel.files import digest_of, explained_storage_errors
from crosswheel.index import people
from crosswheel.index.contents import root_pages
from crosswheel.index.entry import LOG_SUFFIX, METADATA_SUFFIX, Entry
from crosswheel.index.failures import Failure, read_failures
from crosswheel.index.overview import Overview
from crosswheel.index.reading import Project, Reading, read_project
from crosswheel.index.scan import Wheels, scan
from crosswheel.index.state import Part, State
from crosswheel.index.work import Workers
from crosswheel.index.writing import Writing, write_pages, write_project

# Starting processes costs as much as reading this many wheels, or writing this many projects.
_FEW_WHEELS, _FEW_PROJECTS = 1000, 200


@dataclass(frozen=True)
class IndexSummary:
    """What an index holds after it was written, and how many of its projects had changed."""

    site: Path
    projects: int
    wheels: int
    bytes: int
    changed: int


def write_site(
    dist: Path, site: Path, *, root_url: Optional[str] = None, build: Optional[Path] = None
) -> IndexSummary:
    """Make the index of all wheels below ``dist``; what is not there any more leaves the index too.

    All wheels are read before anything is written: if one is bad, the site stays as it was. A wheel is in
    its place before a page names it, and no page names it any more when it is removed, so the site can be
    served meanwhile. Only what changed since the last time is read and written.

    Args:
        dist: a folder with wheels at any depth, as ``dist/<name>/<version>/*.whl``.
        site: where the site goes; pip is pointed at ``simple/`` below it.
        root_url: what the site's URL will be, for absolute links; links are relative without it.
        build: the build tree, from which the logs that the proofs name are taken.

    Raises:
        UsageError: there is no such folder, or the site would not be a folder of its own.
        IntegrityError: a wheel is damaged or not what its name says, or two differ under one name.
        StorageError: the site cannot be written.
    """
    _refuse_unfit(dist, site)
    tree, before = scan(dist), State.load(site)
    failures = read_failures(tree.failures)
    with Workers() as workers, explained_storage_errors(site):
        projects = _read(tree.projects, before, workers)
        plans = _plans(site, tree.projects, projects, root_url, build)
        present = _present(site)
        stale = [name for name, plan in plans.items() if not plan.is_settled(before.parts.get(name), present)]
        after = State(before.reader, {name: plan.part for name, plan in plans.items()}, failures)
        changed = bool(stale) or after != before
        if changed:  # until it is written, what is about to be is not known to be right
            after.unfinished(stale).save(site)
        workers.map(write_project, [plans[name].writing for name in stale], many=len(stale) > _FEW_PROJECTS)
        overviews = {name: project.overview for name, project in projects.items()}
        write_pages(site, root_pages(overviews, failures.failures, root_url))
        _remove(site, present.difference(*(plan.files for plan in plans.values())))
        if changed:
            after.save(site)
    wheels, size = (sum(getattr(o, what) for o in overviews.values()) for what in ("wheels", "bytes"))
    return IndexSummary(site, len(projects), wheels, size, len(stale))


@dataclass(frozen=True)
class SiteContents:
    """What a site was made from: its wheels, its projects by their normalised names, and what could not be built."""

    entries: tuple[Entry, ...]
    projects: Mapping[str, Overview]
    failures: tuple[Failure, ...]


def read_site(site: Path) -> SiteContents:
    """Return what a finished site was made from.

    Raises:
        UsageError: there is no site, or it was made by another version or not finished.
    """
    state = State.load(site)
    if not state.finished or not (site / "simple" / "index.html").is_file():
        raise UsageError(
            f"there is no finished index in {site}",
            hint="make one with `crosswheel index`, or give another --index-tree-root.",
        )
    projects = {name: part.project for name, part in state.parts.items()}
    entries = tuple(wheel.entry for project in projects.values() for wheel in project.indexed())
    overviews = {name: project.overview for name, project in projects.items()}
    return SiteContents(entries, overviews, state.failures.failures)


def _refuse_unfit(dist: Path, site: Path) -> None:
    if site.exists() and not site.is_dir():
        raise UsageError(f"{site} is not a folder", hint="give another --index-tree-root.")
    if dist.resolve() in (site.resolve(), *site.resolve().parents):
        raise UsageError(
            f"the index {site} would lie in the folder of wheels that it is made of, {dist}",
            hint="give an --index-tree-root beside it.",
        )


def _read(found: Mapping[str, Wheels], before: State, workers: Workers) -> dict[str, Project]:
    """Read the projects of which something is new; of the others, return what was read before."""
    known = {name: part.project for name, part in before.parts.items()}
    fresh = {
        name: Reading(wheels, known[name].indexed() if name in known else ())
        for name, wheels in found.items()
        if name not in known or known[name].read_from != wheels.digest
    }
    many = sum(len(task.wheels.found) for task in fresh.values()) > _FEW_WHEELS
    known.update(zip(fresh, workers.map(read_project, list(fresh.values()), many=many)))
    return {name: known[name] for name in found}


@dataclass(frozen=True)
class _Plan:
    """What a project's part of the site is to be: how it is written, what is remembered of it, its files."""

    writing: Writing
    part: Part
    files: frozenset[str]

    def is_settled(self, before: Optional[Part], present: Set[str]) -> bool:
        """Whether it was made from the same before, and all its files are there."""
        return before is not None and before.made_from == self.part.made_from and self.files <= present


def _plans(
    site: Path,
    found: Mapping[str, Wheels],
    projects: Mapping[str, Project],
    root_url: Optional[str],
    build: Optional[Path],
) -> dict[str, _Plan]:
    plans = {}
    for name, project in projects.items():
        links = tuple(required for required in project.requires if required in projects)
        logs = _logs(project, build)
        made_from = digest_of(read_from=project.read_from, links=links, root_url=root_url, logs=logs)
        files = {people.project_path(name)}
        files.update(f"simple/{name}/{file}" for file in _file_names(found[name], logs))
        writing = Writing(site, project, links, root_url, logs)
        plans[name] = _Plan(writing, Part(made_from, project), frozenset(files))
    return plans


def _file_names(wheels: Wheels, logs: Collection[str]) -> Iterator[str]:
    """Give the names of all files in a project's folder below ``simple/``."""
    yield from ("index.html", "index.json")
    for wheel in wheels.found:
        yield from (wheel.filename, wheel.filename + METADATA_SUFFIX, *wheel.proof_names)
    yield from (filename + LOG_SUFFIX for filename in logs)


def _logs(project: Project, build: Optional[Path]) -> dict[str, Path]:
    """Return the logs of wheels' builds, by the wheels' file names: those that are inside the build tree."""
    if build is None or not project.logs:
        return {}
    root = build.resolve()
    logs = {filename: (root / log).resolve() for filename, log in project.logs.items()}
    return {filename: log for filename, log in logs.items() if root in log.parents and log.is_file()}


def _present(site: Path) -> set[str]:
    """Return the files in the site's folders of projects, by their paths in it."""
    present = {f"project/{name}" for name in _names(site / "project")}
    for project in _names(site / "simple"):
        present.update(f"simple/{project}/{name}" for name in _names(site / "simple" / project))
    return present


def _names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as items:
            return [item.name for item in items]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _remove(site: Path, paths: Iterable[str]) -> None:
    """Remove those of these files that an earlier index wrote; nothing that no index ever wrote."""
    ours = [path for path in paths if _is_ours(*path.rsplit("/", 1))]
    for path in ours:
        (site / path).unlink()
    for folder in {path.rpartition("/")[0] for path in ours} - {"project"}:
        with contextlib.suppress(OSError):  # something else is in it
            (site / folder).rmdir()


def _is_ours(folder: str, name: str) -> bool:
    if folder == "project":
        return name.endswith(".html")
    # Also what a process that was killed left beside the file that it was writing.
    return ".whl" in name or name.lstrip(".").startswith(("index.html", "index.json"))
