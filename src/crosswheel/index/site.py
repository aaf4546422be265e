"""Build a static site, which any file store can serve, from the wheels below ``dist/``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from crosswheel.errors import UsageError
from crosswheel.files import exclusive, explained_storage_errors, make_folder
from crosswheel.index.batches import Batch, read_batches
from crosswheel.index.entry import Entry
from crosswheel.index.failures import Failure, read_failures
from crosswheel.index.overview import Overview
from crosswheel.index.owner import refuse_foreign
from crosswheel.index.present import Present
from crosswheel.index.project_reading import KnownProject
from crosswheel.index.project_writing import (
    Setting,
    Task,
    make_project,
    move_project,
    remove,
    staged,
    write_pages,
)
from crosswheel.index.rendering import Pages, root_pages
from crosswheel.index.scan import ProjectWheels, Tree, scan
from crosswheel.index.site_state import ProjectPart, SiteState, begin, named
from crosswheel.targets import Target

# Starting processes costs as much as handling this many wheels.
_FEW_WHEELS = 500


@dataclass(frozen=True)
class IndexSummary:
    """What an index holds after a run, and how many of its projects changed.

    Attributes:
        targets: the targets with an index of their own in the site.
        left_out: the file names that the index of all targets leaves out.
    """

    site: Path
    projects: int
    wheels: int
    bytes: int
    changed: int
    targets: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def sentences(self) -> Iterator[str]:
        """Sentences that summarise the index: each target's index, and the files left out of the common one."""
        if self.left_out:
            yield (
                f"Left out of {self.site}/simple, as targets have other bytes under one name: "
                f"{', '.join(self.left_out)}."
            )
        if len(self.targets) > 1:
            yield f"Each target has its own: {', '.join(f'{self.site}/{target}/simple' for target in self.targets)}."


def write_site(
    dist: Path,
    site: Path,
    *,
    scanned: Callable[[], Tree] | None = None,
    root_url: str | None = None,
    build: Path | None = None,
    described: Mapping[str, Target] | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> IndexSummary:
    """Make the index of all wheels below ``dist``; remove wheels that are gone from ``dist``.

    The site needs a folder of its own. A folder with other contents is refused, and only files that an index wrote
    are removed.

    All wheels are read and all new files are staged before the site changes, so a bad wheel leaves the site as it
    was. A wheel is in the site before a page names it, and is removed only after no page names it, so the site can
    be served meanwhile. Unchanged files are neither read nor written again. Of two processes that index into one
    folder, one waits for the other.

    Args:
        dist: a folder with wheels at any depth, as ``dist/<name>/<version>/*.whl``.
        site: the folder of the site; pip uses ``simple/`` below it.
        scanned: returns the result of :func:`scan` of ``dist``, if a scan was started before.
        root_url: the site's future URL, for absolute links; without it links are relative.
        build: the build tree, which holds the logs that proofs name.
        described: known targets, by name; those that ship with crosswheel, if not given.
        tell: called with a message while waiting for another process.

    Raises:
        UsageError: there is no such folder of wheels, or the site's folder has other contents.
        IntegrityError: a wheel is damaged or does not match its name, or two differ under one name.
        StorageError: the site cannot be written.
    """
    _refuse_unfit(dist, site)
    waiting = partial(tell, f"another process makes the index in {site}; waiting for it")
    with explained_storage_errors(site):
        make_folder(site)
    with explained_storage_errors(site), exclusive(site, waiting) as at_once, staged(site):
        old, present = SiteState.load(site), Present.in_site(site)
        # The process that held the lock may have added wheels meanwhile.
        tree = scanned() if scanned and at_once else scan(dist)
        failures = read_failures(tree.failures)
        setting = Setting(site, dist, frozenset(tree.projects), root_url, build)
        settled = _settled(setting, tree.projects, old, present)
        stale = {name: wheels for name, wheels in tree.projects.items() if name not in settled}
        new_parts = _new_parts(setting, stale, old)
        parts = {name: new_parts.get(name) or old.parts[name] for name in tree.projects}
        after = SiteState(old.reader, parts, failures, read_batches(tree.batches))
        changed = bool(stale) or after != old
        written = {name: setting.files(name, wheels, parts[name].project) for name, wheels in stale.items()}
        if changed:  # new contents are unverified until they are staged
            begin(site, written)
        for name in stale:
            move_project(setting, name, parts[name].project)
        write_pages(setting, pages := _root_pages(after, root_url, described))
        remove(site, named(site, present.besides({**settled, **written}, pages)))
        if changed:
            after.save(site)
    return _summary(site, [part.project.overview for part in parts.values()], len(stale))


def _root_pages(state: SiteState, root_url: str | None, described: Mapping[str, Target] | None) -> Pages:
    overviews = {name: part.project.overview for name, part in state.parts.items()}
    return root_pages(overviews, state.failures.failures, root_url, described, state.batches)


def _summary(site: Path, projects: Collection[Overview], changed: int) -> IndexSummary:
    return IndexSummary(
        site,
        len(projects),
        sum(project.wheels for project in projects),
        sum(project.bytes for project in projects),
        changed,
        tuple(sorted({target for project in projects for target in project.offered})),
        tuple(sorted(filename for project in projects for filename in project.left_out)),
    )


@dataclass(frozen=True)
class SiteContents:
    """The inputs of a site: its projects by normalised name with their wheels, the failed builds, and the batches."""

    known: Mapping[str, KnownProject]
    failures: tuple[Failure, ...]
    batches: tuple[Batch, ...] = ()

    @property
    def projects(self) -> Mapping[str, Overview]:
        """The summaries of the projects."""
        return {name: project.overview for name, project in self.known.items()}

    def entries(self, name: str) -> list[Entry]:
        """Return the wheels of a project; they are parsed each time, as thousands of them fill the memory."""
        return [wheel.entry for wheel in self.known[name].indexed()]


def read_site(site: Path) -> SiteContents:
    """Return the inputs of a finished site.

    Raises:
        UsageError: there is no site, or it is unfinished or of another version.
    """
    state = SiteState.load(site)
    if not state.finished or not (site / "simple" / "index.html").is_file():
        raise UsageError(
            f"there is no finished index in {site}",
            hint="make one with `crosswheel index`, or give another --index-tree-root.",
        )
    known = {name: part.project for name, part in state.parts.items()}
    return SiteContents(known, state.failures.failures, state.batches)


def _refuse_unfit(dist: Path, site: Path) -> None:
    if site.exists() and not site.is_dir():
        raise UsageError(f"{site} is not a folder", hint="give another --index-tree-root.")
    if dist.resolve() in (site.resolve(), *site.resolve().parents):
        raise UsageError(
            f"the index {site} would lie in the folder of wheels that it is made of, {dist}",
            hint="give an --index-tree-root beside it.",
        )
    refuse_foreign(site)


def _settled(
    setting: Setting, scanned: Mapping[str, ProjectWheels], old: SiteState, present: Present
) -> dict[str, frozenset[str]]:
    """Return the file names of unchanged projects whose files all exist, by project."""
    settled = {}
    for name, part in old.parts.items():
        wheels = scanned.get(name)
        if (
            wheels is not None
            and part.project.read_from == wheels.digest
            and part.made_from == setting.part(part.project).made_from
        ):
            files = setting.files(name, wheels, part.project)
            if present.has(name, files):
                settled[name] = files
    return settled


def _new_parts(
    setting: Setting, stale: Mapping[str, ProjectWheels], old: SiteState
) -> dict[str, ProjectPart]:
    """Read new wheels, and stage the parts of these projects next to the site."""
    tasks = []
    for name, wheels in stale.items():
        part = old.parts.get(name)
        tasks.append(Task(name, wheels, part.project if part else None))
    make = partial(make_project, setting)
    if sum(len(wheels.scanned) for wheels in stale.values()) <= _FEW_WHEELS:
        return dict(zip(stale, map(make, tasks)))
    from crosswheel.index.work import map_in_processes  # slow to import

    return dict(zip(stale, map_in_processes(make, tasks)))
