"""Render all pages of a site as bytes by path, for an index in a folder and for a published channel."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from packaging.metadata import RawMetadata

from crosswheel import targets
from crosswheel.errors import TargetError
from crosswheel.index import people, simple
from crosswheel.index.batches import Batch
from crosswheel.index.entry import left_out
from crosswheel.index.failures import Failure, still_failing
from crosswheel.index.overview import Overview
from crosswheel.index.people import ListedWheel
from crosswheel.targets import Target

Pages = Mapping[str, bytes]
"""Pages by their path in the site, in the order in which they are to be written."""


def project_pages(
    files: Sequence[ListedWheel], described: RawMetadata, links: Collection[str], root_url: str | None = None
) -> Pages:
    """Return a project's pages: for pip, for tools, and for people.

    Args:
        files: the project's wheels, the oldest version first.
        described: the METADATA of the wheel that :func:`crosswheel.index.entry.newest` chooses.
        links: normalised names of projects in the index, to which dependencies are linked.
        root_url: the site's URL, for absolute links.
    """
    entries = [file.entry for file in files]
    name, shared = entries[0].name, left_out(entries)
    base = f"{_simple_url(root_url)}{name}/" if root_url else ""
    merged = [entry for entry in entries if entry.filename not in shared]
    apart = [entry for entry in entries if entry.filename in shared]
    html, as_json = simple.simple_pages(name)
    pages = {
        as_json: simple.project_json(name, merged, base).encode(),
        html: simple.project_html(name, merged, base, apart).encode(),
    }
    base = base or f"../../../simple/{name}/"
    for target in sorted({target for entry in entries for target in entry.offered}):
        offered = [entry for entry in entries if target in entry.offered]
        html, as_json = simple.simple_pages(name, f"{target}/")
        pages[as_json] = simple.project_json(name, offered, base).encode()
        pages[html] = simple.project_html(name, offered, base).encode()
    return {
        **pages,
        people.project_path(name): people.project_page(files, described, links, root_url).encode(),
    }


def root_pages(
    projects: Mapping[str, Overview],
    failures: Sequence[Failure],
    root_url: str | None = None,
    described: Mapping[str, Target] | None = None,
    batches: Sequence[Batch] = (),
) -> Pages:
    """Return the pages that list projects, the targets' pages, and the files that all pages use.

    Args:
        projects: in the order to list them.
        described: known targets, by name; those that ship with crosswheel, if not given.
        batches: where batches stand.
    """
    known = known_targets() if described is None else described
    roots = {"": list(projects)}
    for name, project in projects.items():
        for target in project.offered:
            roots.setdefault(f"{target}/", []).append(name)
    lists: dict[str, bytes] = {}
    for root, listed in roots.items():
        html, as_json = simple.list_pages(root)
        lists[as_json] = simple.project_list_json(listed).encode()
        lists[html] = simple.project_list_html(listed, _simple_url(root_url, root)).encode()
    return {
        **people.asset_files(),
        **lists,
        **{
            people.target_path(target): people.target_page(
                target, known.get(target), projects.values(), root_url
            ).encode()
            for target in sorted({target for project in projects.values() for target in project.offered})
        },
        people.STATUS: people.status_page(projects, still_failing(failures, projects), batches).encode(),
        people.HOME: people.home_page(projects).encode(),
    }


def known_targets(folder: Path | None = None) -> Mapping[str, Target]:
    """Return the targets that ship with crosswheel and those of a folder, by name; skip malformed files."""
    known = {}
    for name in targets.names(folder):
        with contextlib.suppress(TargetError):
            known[name] = targets.load(name, folder)
    return known


def _simple_url(root_url: str | None, root: str = "") -> str:
    return f"{root_url.rstrip('/')}/{root}simple/" if root_url else ""
