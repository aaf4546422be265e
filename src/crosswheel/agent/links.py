"""Lays out a release: a virtual environment (PEP 405) that consists of links to its packages.

A folder in site-packages that only one package has is a symbolic link, so that the cost of an update depends on what
changed, not on the size of the environment. Other files are hard links, as programs look for their environment beside
their own file. A file that a program changes is a copy in each release.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from crosswheel.agent.disk import copy, make_folders, sha256_of
from crosswheel.agent.manifest import PYTHON, PYTHON_FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crosswheel.agent.manifest import Manifest
    from crosswheel.agent.packages import Packages


class _Links(NamedTuple):
    """The links and copies of an environment: the source of each, by its path in the environment."""

    folders: dict[str, str]
    files: dict[str, str]
    copies: dict[str, str]


def make(folder: Path, release: Manifest, packages: Packages) -> None:
    """Create a release's environment in a new folder."""
    links = _links(release, packages)
    parents = {path.rpartition("/")[0] for sources in links for path in sources} | {"bin"}
    make_folders(str(folder), parents)
    for path, source in links.folders.items():
        os.symlink(source, f"{folder}/{path}")
    for path, source in links.files.items():
        os.link(source, f"{folder}/{path}")
    for path, source in links.copies.items():
        copy(source, f"{folder}/{path}")
    python, version = _interpreter(release, packages)
    configuration = f"home = {python.parent}\ninclude-system-site-packages = false\nversion = {version}\n"
    (folder / "pyvenv.cfg").write_text(configuration)
    (folder / "bin" / "python3").symlink_to(python)
    (folder / "bin" / "python").symlink_to("python3")


def faults(folder: Path, release: Manifest, packages: Packages) -> Iterator[str]:
    """Yield what is missing or replaced in a release's environment; its packages are checked separately."""
    links = _links(release, packages)
    yield from _faults_of_environment(folder, _interpreter(release, packages)[0])
    for path, source in links.folders.items():
        if not (folder / path).is_symlink() or os.readlink(folder / path) != source:
            yield f"{path}: it is gone"
    for path, source in (*links.files.items(), *links.copies.items()):
        if not (folder / path).is_file():
            yield f"{path}: it is gone"
        elif Path(source).is_file() and not _are_same(f"{folder}/{path}", source):
            yield f"{path}: its bytes have changed"


def slots_of(folder: Path, packages: Packages) -> set[str]:
    """Return the slots that a release's environment actually links to."""
    slots = set()
    for path in (folder / PYTHON_FOLDER, *folder.glob("lib/*/site-packages/*")):
        source = Path(os.readlink(path)) if path.is_symlink() else path
        if packages.root in source.parents:
            slots.add(source.relative_to(packages.root).parts[0])
    return slots


def slot_of(package: Manifest) -> str:
    """Return the slot of a package of an installed release."""
    slot: str = package.get("place") or package["digest"]
    return slot


def _interpreter(release: Manifest, packages: Packages) -> tuple[Path, str]:
    """Return the path and the version of a release's Python: the one that it brings, or this machine's."""
    for package in release["packages"]:
        if package["name"] == PYTHON:
            folder, program = packages.folder(slot_of(package)), f"python{release['target']['python']}"
            return Path(folder, PYTHON_FOLDER, "bin", program), package["version"]
    return Path(sys.executable), ".".join(map(str, sys.version_info[:3]))


def _faults_of_environment(folder: Path, python: Path) -> Iterator[str]:
    configuration = folder / "pyvenv.cfg"
    if not configuration.is_file():
        yield "pyvenv.cfg: it is gone"
    elif b"home = " not in configuration.read_bytes():
        yield "pyvenv.cfg: its bytes have changed"
    for path in ("bin/python3", "bin/python"):
        if not (folder / path).exists():
            yield f"{path}: it is gone"
        elif not os.path.samefile(folder / path, python):
            yield f"{path}: it is not {python}"


def _are_same(path: str, second: str) -> bool:
    # If somebody copied the store, it has copies instead of hard links.
    return os.path.samefile(path, second) or sha256_of(path) == sha256_of(second)


def _links(release: Manifest, packages: Packages) -> _Links:
    """Return the links and copies of a release's environment.

    If two packages have the same file, the first package's is used.
    """
    owners = Counter(folder for package in release["packages"] for folder in package["folders"])
    links = _Links({}, {}, {})
    for package in release["packages"]:
        slot = slot_of(package)
        mutable = set(packages.mutable(slot))
        shared = tuple(
            f"{folder}/"
            for folder in package["folders"]
            if owners[folder] > 1 or any(path.startswith(f"{folder}/") for path in mutable)
        )
        sources = packages.folder(slot)
        links.folders.update({p: f"{sources}/{p}" for p in package["folders"] if f"{p}/" not in shared})
        loose = list(package["files"])
        if shared:
            loose += [path for path, *_ in packages.files(slot) if path.startswith(shared)]
        for path in loose:
            if path not in links.files and path not in links.copies:
                (links.copies if path in mutable else links.files)[path] = f"{sources}/{path}"
    return links
