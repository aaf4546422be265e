"""A project's part of a site: its wheels, what lies beside them, and its pages."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional

from crosswheel.check.wheel import read_metadata
from crosswheel.files import new_folder, place_copy, write_bytes
from crosswheel.index.contents import project_pages
from crosswheel.index.entry import LOG_SUFFIX, METADATA_SUFFIX, newest
from crosswheel.index.people import File
from crosswheel.index.reading import IndexedWheel, Project, read_proof


@dataclass(frozen=True)
class Writing:
    """All that a project's part of the site is made from.

    Attributes:
        site: the site's folder.
        project: its wheels.
        links: the dependencies that are in the index.
        root_url: the site's URL, if links shall be absolute.
        logs: the logs of builds, by file name of the wheel.
    """

    site: Path
    project: Project
    links: tuple[str, ...]
    root_url: Optional[str]
    logs: Mapping[str, Path]


def write_project(task: Writing) -> None:
    """Write a project's wheels, what lies beside them, and then its pages."""
    wheels = task.project.indexed()
    chosen = newest(wheel.entry for wheel in wheels)
    folder = task.site / "simple" / chosen.name
    if folder.is_dir():
        _write_files(folder, wheels, task, write_changed)
    else:
        with new_folder(folder) as beside:  # it comes whole, so that what is in it need not
            _write_files(beside, wheels, task, Path.write_bytes)
    metadata = (folder / (chosen.filename + METADATA_SUFFIX)).read_bytes()
    files = [_file(wheel, wheel.entry.version == chosen.version, task.logs) for wheel in wheels]
    write_pages(task.site, project_pages(files, metadata, task.links, task.root_url))


def _write_files(
    folder: Path, wheels: Iterable[IndexedWheel], task: Writing, write: Callable[[Path, bytes], object]
) -> None:
    """Write wheels and what lies beside them; of METADATA what is new or missing."""
    for wheel in wheels:
        filename = wheel.entry.filename
        place_copy(wheel.found.path, folder / filename)
        for proof in wheel.found.proofs:
            place_copy(proof, folder / proof.name)
        if filename in task.logs:
            place_copy(task.logs[filename], folder / (filename + LOG_SUFFIX))
        metadata = folder / (filename + METADATA_SUFFIX)
        text = task.project.texts.get(filename)
        if text is not None or not metadata.is_file():
            write(metadata, text if text is not None else read_metadata(wheel.found.path))


def _file(wheel: IndexedWheel, shown: bool, logs: Collection[str]) -> File:
    """Return a wheel for its project's page; its proofs, too, where the page shows them."""
    entry = wheel.entry
    proofs = wheel.found.proofs if shown else ()
    read = {path.name: read_proof(path, entry.filename, entry.sha256) for path in proofs}
    return File(entry, read, entry.filename in logs)


def write_pages(site: Path, pages: Mapping[str, bytes]) -> None:
    """Write those of these pages, by their path in the site, that are not there as they are."""
    for path, data in pages.items():
        write_changed(site / path, data)


def write_changed(file: Path, data: bytes) -> None:
    """Write a file unless these are its bytes already."""
    try:
        there = file.read_bytes() == data
    except OSError:
        there = False
    if not there:
        write_bytes(file, data)
