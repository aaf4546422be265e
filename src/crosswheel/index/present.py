"""What lies in a site already: whether a project's part is whole, and what is there besides."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path

from crosswheel.index.people import project_path


@dataclass(frozen=True)
class Present:
    """The files in a site's folders of projects.

    Attributes:
        pages: the paths in the site of what lies in ``project/``.
        simple: the names of what lies in the folders of ``simple/``, by the folders' names.
    """

    pages: frozenset[str]
    simple: Mapping[str, frozenset[str]]

    @classmethod
    def in_site(cls, site: Path) -> Present:
        """Look into a site's folders; one that is not there has nothing in it."""
        pages = frozenset(f"project/{name}" for name in _names(site / "project"))
        return cls(pages, {name: _names(site / "simple" / name) for name in _names(site / "simple")})

    def has(self, project: str, files: Set[str]) -> bool:
        """Whether a project's page is there, and in its folder of ``simple/`` all these files."""
        return project_path(project) in self.pages and files <= self.simple.get(project, frozenset())

    def besides(self, files: Mapping[str, Set[str]]) -> Iterator[str]:
        """Give the paths in the site of what is neither the page nor among the files of one of these projects."""
        yield from self.pages.difference(map(project_path, files))
        for project, names in self.simple.items():
            for name in names.difference(files.get(project, ())):
                yield f"simple/{project}/{name}"


def _names(folder: Path) -> frozenset[str]:
    try:
        with os.scandir(folder) as items:
            return frozenset(item.name for item in items)
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()
