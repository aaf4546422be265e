"""Wheels below ``dist/`` → a static site that any file store can serve."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from crosswheel.check.proof import Proof
from crosswheel.errors import UsageError
from crosswheel.files import digest_of, explained_storage_errors, place_copy, write_bytes
from crosswheel.index import people
from crosswheel.index.contents import by_project, linked, project_pages, root_pages
from crosswheel.index.entry import LOG_SUFFIX, METADATA_SUFFIX, Entry, read_metadata
from crosswheel.index.failures import Failures, read_failures
from crosswheel.index.people import File
from crosswheel.index.scan import IndexedWheel, read_proof, read_wheels, scan
from crosswheel.index.state import State
from crosswheel.index.work import Workers

# Starting processes costs as much as writing this many projects.
_FEW_PROJECTS = 200


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
    tree, state = scan(dist), State.load(site)
    failures = read_failures(tree.failures)
    with Workers() as workers, explained_storage_errors(site):
        wheels = read_wheels(tree.wheels, state.known, workers)
        projects = by_project(wheel.entry for wheel in wheels)
        tasks = _tasks(site, wheels, projects, root_url, build)
        digests = {task.name: task.digest for task in tasks}
        changed = [
            task for task in tasks if state.projects.get(task.name) != task.digest or not task.is_whole
        ]
        # Until all is written, what is about to be is not known to be right.
        if changed:
            settled = {name: digests[name] for name in digests.keys() - {task.name for task in changed}}
            state.of(wheels, settled, failures).save(site)
        workers.map(write_project, changed, few=_FEW_PROJECTS)
        _write_pages(site, root_pages(projects, failures.failures, root_url))
        _remove_vanished(site, {task.name: task.file_names for task in tasks})
        finished = state.of(wheels, digests, failures)
        if changed or finished != state:
            finished.save(site)
    total = sum(wheel.entry.size for wheel in wheels)
    return IndexSummary(site, len(projects), len(wheels), total, len(changed))


@dataclass(frozen=True)
class SiteContents:
    """What a site was made from: the entries of its wheels, and what could not be built."""

    entries: tuple[Entry, ...]
    failures: Failures


def read_site(site: Path) -> SiteContents:
    """Return what a finished site was made from.

    Raises:
        UsageError: there is no site, or it was made by another version or not finished.
    """
    state = State.load(site)
    entries = {known.entry.filename: known.entry for known in state.known.values()}
    if not (site / "simple" / "index.html").is_file() or {e.name for e in entries.values()} != set(
        state.projects
    ):
        raise UsageError(
            f"there is no finished index in {site}",
            hint="make one with `crosswheel index`, or give another --index-tree-root.",
        )
    return SiteContents(tuple(entries.values()), state.failures)


def _refuse_unfit(dist: Path, site: Path) -> None:
    if site.exists() and not site.is_dir():
        raise UsageError(f"{site} is not a folder", hint="give another --index-tree-root.")
    if dist.resolve() in (site.resolve(), *site.resolve().parents):
        raise UsageError(
            f"the index {site} would lie in the folder of wheels that it is made of, {dist}",
            hint="give an --index-tree-root beside it.",
        )


@dataclass(frozen=True)
class ProjectTask:
    """All that a project's part of the site is made from.

    Attributes:
        site: the site's folder.
        name: the project's normalised name.
        wheels: its wheels with their entries, the oldest version first.
        links: the dependencies that are in the index.
        root_url: the site's URL, if links shall be absolute.
        logs: the logs of builds, by file name of the wheel.
    """

    site: Path
    name: str
    wheels: tuple[IndexedWheel, ...]
    links: tuple[str, ...]
    root_url: Optional[str]
    logs: Mapping[str, Path]

    @property
    def digest(self) -> str:
        """Names the pages by what goes into them."""
        stamps = [(wheel.found.location, wheel.found.stamp) for wheel in self.wheels]
        return digest_of(stamps=stamps, links=self.links, root_url=self.root_url, logs=self.logs)

    @property
    def file_names(self) -> frozenset[str]:
        """The names of all files in the project's folder below ``simple/``."""
        names = {"index.html", "index.json"}
        for wheel in self.wheels:
            names.update((wheel.entry.filename, wheel.entry.filename + METADATA_SUFFIX))
            names.update(path.name for path in wheel.found.proofs)
        names.update(filename + LOG_SUFFIX for filename in self.logs)
        return frozenset(names)

    @property
    def is_whole(self) -> bool:
        """Whether all its files are in the site."""
        try:
            present = set(_names(self.site / "simple" / self.name))
        except FileNotFoundError:
            return False
        return self.file_names <= present and (self.site / people.project_path(self.name)).is_file()


def write_project(task: ProjectTask) -> None:
    """Write a project's wheels, what lies beside them, and then its pages."""
    folder = task.site / "simple" / task.name
    files, texts = [], {}
    for wheel in task.wheels:
        filename = wheel.entry.filename
        log = task.logs.get(filename)
        texts[filename] = read_metadata(wheel.found.path)
        place_copy(wheel.found.path, folder / filename)
        write_bytes(folder / (filename + METADATA_SUFFIX), texts[filename])
        for path in wheel.found.proofs:
            place_copy(path, folder / path.name)
        if log:
            place_copy(log, folder / (filename + LOG_SUFFIX))
        files.append(File(wheel.entry, _proofs(wheel), log is not None))
    metadata = texts[people.newest([wheel.entry for wheel in task.wheels]).filename]
    _write_pages(task.site, project_pages(files, metadata, task.links, task.root_url))


def _proofs(wheel: IndexedWheel) -> dict[str, Proof]:
    return {path.name: read_proof(path, wheel.entry) for path in wheel.found.proofs}


def _tasks(
    site: Path,
    wheels: Sequence[IndexedWheel],
    projects: Mapping[str, Sequence[Entry]],
    root_url: Optional[str],
    build: Optional[Path],
) -> list[ProjectTask]:
    by_filename = {wheel.entry.filename: wheel for wheel in wheels}
    tasks = []
    for name, entries in projects.items():
        group = tuple(by_filename[entry.filename] for entry in entries)
        links = tuple(linked(entries, projects.keys()))
        logs = {wheel.entry.filename: log for wheel in group if (log := _log(wheel.entry, build))}
        tasks.append(ProjectTask(site, name, group, links, root_url, logs))
    return tasks


def _log(entry: Entry, build: Optional[Path]) -> Optional[Path]:
    """Return the log of a wheel's build, if there is one inside the build tree."""
    if build is None or entry.log is None:
        return None
    log = (build / entry.log).resolve()
    return log if log.is_file() and build.resolve() in log.parents else None


def _write_pages(site: Path, pages: Mapping[str, bytes]) -> None:
    for path, data in pages.items():
        file = site / path
        if not file.is_file() or file.read_bytes() != data:
            write_bytes(file, data)


def _remove_vanished(site: Path, kept: Mapping[str, frozenset[str]]) -> None:
    """Remove what an earlier index wrote and this one has not; nothing that no index ever wrote."""
    for folder in (site / "simple").iterdir():
        if not folder.is_dir():
            continue
        there = _names(folder)
        gone = [name for name in there if _is_ours(name) and name not in kept.get(folder.name, ())]
        for name in gone:
            (folder / name).unlink()
        if len(gone) == len(there):
            folder.rmdir()
    for page in (site / "project").glob("*.html"):
        if page.stem not in kept:
            page.unlink()


def _is_ours(name: str) -> bool:
    return ".whl" in name or name in ("index.html", "index.json")


def _names(folder: Path) -> list[str]:
    with os.scandir(folder) as items:
        return [item.name for item in items]
