"""List the files that a site already has: which projects are complete, and what else lies there."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path

from crosswheel.index.people import project_path, target_path

# The entries of a site other than the folders of targets.
_SHARED = ("simple", "project", "assets")


@dataclass(frozen=True)
class Present:
    """The files in a site's folders of projects.

    Attributes:
        pages: the paths in the site of the files in ``project/``.
        simple: the paths in the site of the files in ``simple/`` and in the targets' folders, by project.
        lists: the paths of the targets' pages, and of the pages that list a target's projects.
    """

    pages: frozenset[str]
    simple: Mapping[str, Set[str]]
    lists: frozenset[str]

    @classmethod
    def in_site(cls, site: Path) -> Present:
        """List a site's folders; a missing folder counts as empty."""
        pages = frozenset(f"project/{name}" for name, _ in _items(site / "project"))
        simple: dict[str, set[str]] = {}
        lists: set[str] = set()
        targets = [name for name, is_folder in _items(site) if is_folder and name not in _SHARED]
        lists.update(page for page in map(target_path, targets) if (site / page).is_file())
        for root in ("simple", *(f"{target}/simple" for target in targets)):
            for name, is_folder in _items(site / root):
                if is_folder:
                    simple.setdefault(name, set()).update(_files(site, f"{root}/{name}"))
                elif root != "simple":
                    lists.add(f"{root}/{name}")
        return cls(pages, simple, frozenset(lists))

    def has(self, project: str, files: Set[str]) -> bool:
        """Return whether a project's page and all of these files exist."""
        return project_path(project) in self.pages and files <= self.simple.get(project, frozenset())

    def besides(self, files: Mapping[str, Set[str]], lists: Collection[str]) -> Iterator[str]:
        """Yield the paths in the site of files that are neither the page nor among the files of one of these projects.

        Args:
            files: the projects' files.
            lists: the pages that list projects.
        """
        yield from self.pages.difference(map(project_path, files))
        yield from self.lists.difference(lists)
        for project, paths in self.simple.items():
            yield from paths - files.get(project, frozenset())


def _files(site: Path, folder: str) -> Iterator[str]:
    """Yield the paths of the files in a project's folder, and in its targets' subfolders."""
    for name, is_folder in _items(site / folder):
        if is_folder:
            yield from (f"{folder}/{name}/{below}" for below, _ in _items(site / folder / name))
        else:
            yield f"{folder}/{name}"


def _items(folder: Path) -> list[tuple[str, bool]]:
    """Return the names in a folder, and whether each is a folder."""
    try:
        with os.scandir(folder) as items:
            return [(item.name, item.is_dir(follow_symlinks=False)) for item in items]
    except (FileNotFoundError, NotADirectoryError):
        return []
