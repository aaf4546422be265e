"""A release on the disk: a virtual environment (PEP 405) that is made of links to its packages.

A folder of site-packages that only one package has is a symbolic link to it, so that an update costs what changed and
not what is there. Every other file is a hard link: programs look for their environment where they lie.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from crosswheel.agent.disk import make_folders, sha256_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crosswheel.agent.manifest import Manifest
    from crosswheel.agent.packages import Packages


def make(folder: Path, release: Manifest, packages: Packages) -> None:
    """Make a release's environment in a folder that is not there yet."""
    folders, files = _links(release, packages)
    parents = {path.rpartition("/")[0] for path in (*folders, *files)} | {"bin"}
    make_folders(str(folder), parents)
    for path, goal in folders.items():
        os.symlink(goal, f"{folder}/{path}")
    for path, goal in files.items():
        os.link(goal, f"{folder}/{path}")
    python, version = Path(sys.executable), ".".join(map(str, sys.version_info[:3]))
    configuration = f"home = {python.parent}\ninclude-system-site-packages = false\nversion = {version}\n"
    (folder / "pyvenv.cfg").write_text(configuration)
    (folder / "bin" / "python3").symlink_to(python)
    (folder / "bin" / "python").symlink_to("python3")


def faults(folder: Path, release: Manifest, packages: Packages) -> Iterator[str]:
    """Tell what is missing in a release's environment; what lies in its packages is their business."""
    folders, files = _links(release, packages)
    for path in ("pyvenv.cfg", "bin/python3", "bin/python"):
        if not (folder / path).exists():
            yield f"{path}: it is gone"
    for path, goal in folders.items():
        if not (folder / path).is_symlink() or os.readlink(folder / path) != goal:
            yield f"{path}: it is gone"
    for path, goal in files.items():
        if not (folder / path).is_file():
            yield f"{path}: it is gone"
        elif Path(goal).is_file() and not _are_same(f"{folder}/{path}", goal):
            yield f"{path}: its bytes have changed"


def _are_same(path: str, other: str) -> bool:
    # A store that was copied has copies instead of hard links.
    return os.path.samefile(path, other) or sha256_of(path) == sha256_of(other)


def _links(release: Manifest, packages: Packages) -> tuple[dict[str, str], dict[str, str]]:
    """Return the folders that are links, and the files; each by path, with what it is a link to.

    Where two packages have the same file, the first one's is taken.
    """
    owners = Counter(folder for package in release["packages"] for folder in package["folders"])
    folders: dict[str, str] = {}
    files: dict[str, str] = {}
    for package in release["packages"]:
        place = packages.folder(package["digest"])
        shared = tuple(f"{folder}/" for folder in package["folders"] if owners[folder] > 1)
        folders.update({path: f"{place}/{path}" for path in package["folders"] if owners[path] == 1})
        loose = list(package["files"])
        if shared:
            listed = packages.files(package["digest"])
            loose += [path for path, *_ in listed if path.startswith(shared)]
        for path in loose:
            files.setdefault(path, f"{place}/{path}")
    return folders, files
