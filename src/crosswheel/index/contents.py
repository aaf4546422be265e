"""All pages of a site, as bytes by path: what a folder and a published channel have in common."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from packaging.metadata import RawMetadata

from crosswheel.index import people, simple
from crosswheel.index.failures import Failure, still_failing
from crosswheel.index.overview import Overview
from crosswheel.index.people import File

Pages = Mapping[str, bytes]
"""Pages by their path in the site, in the order in which they are to be written."""


def project_pages(
    files: Sequence[File], described: RawMetadata, links: Collection[str], root_url: str | None = None
) -> Pages:
    """Return a project's pages: for pip, for tools, and for people.

    Args:
        files: the project's wheels, the oldest version first.
        described: what METADATA of the wheel says that :func:`crosswheel.index.entry.newest` chooses.
        links: normalised names of projects in the index, to which dependencies are linked.
        root_url: the site's URL, for absolute links.
    """
    entries = [file.entry for file in files]
    name = entries[0].name
    base = f"{_simple_url(root_url)}{name}/" if root_url else ""
    return {
        f"simple/{name}/index.json": simple.project_json(name, entries, base).encode(),
        f"simple/{name}/index.html": simple.project_html(name, entries, base).encode(),
        people.project_path(name): people.project_page(files, described, links, root_url).encode(),
    }


def root_pages(
    projects: Mapping[str, Overview], failures: Sequence[Failure], root_url: str | None = None
) -> Pages:
    """Return the pages that name projects, and the files that all pages use; ``projects`` are in their order."""
    names = list(projects)
    return {
        **people.asset_files(),
        "simple/index.json": simple.project_list_json(names).encode(),
        "simple/index.html": simple.project_list_html(names, _simple_url(root_url)).encode(),
        people.STATUS: people.status_page(projects, still_failing(failures, projects)).encode(),
        people.HOME: people.home_page(projects).encode(),
    }


def _simple_url(root_url: str | None) -> str:
    return f"{root_url.rstrip('/')}/simple/" if root_url else ""
