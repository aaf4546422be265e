"""Make a project's part of the site on a stage next to it, then move it into the site."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from crosswheel.files import digest_of, make_folder, place_link
from crosswheel.index import people
from crosswheel.index.people import ListedWheel
from crosswheel.index.project_reading import IndexedWheel, KnownProject, ReadProject, read_project
from crosswheel.index.rendering import project_pages
from crosswheel.index.scan import ProjectWheels
from crosswheel.index.simple import simple_pages
from crosswheel.index.site_state import ProjectPart
from crosswheel.wheels.layout import LOG_SUFFIX, METADATA_SUFFIX
from crosswheel.wheels.reading import read_metadata

_STAGE = ".crosswheel.new"
_PAGE = "page"


@dataclass(frozen=True)
class Task:
    """A project whose part of the site is to be made: its current wheels, and those read before."""

    name: str
    wheels: ProjectWheels
    known: KnownProject | None


@dataclass(frozen=True)
class Setting:
    """What all parts of a site have in common.

    Attributes:
        site: the site's folder.
        dist: the root of the tree of wheels.
        names: the normalised names of all projects, for links to dependencies.
        root_url: the site's URL, for absolute links.
        build: the build tree, which holds the build logs.
    """

    site: Path
    dist: Path
    names: frozenset[str]
    root_url: str | None
    build: Path | None

    @property
    def stage(self) -> Path:
        """The folder in which parts are made: hidden, and inside the site, so that moving is a rename."""
        return self.site / _STAGE

    def links(self, project: KnownProject) -> list[str]:
        """Return the dependencies that are in the index."""
        return [name for name in project.requires if name in self.names]

    def logs(self, project: KnownProject) -> dict[str, Path]:
        """Return the wheels' build logs inside the build tree, by the wheels' places."""
        if self.build is None or not project.logs:
            return {}
        root = self.build.resolve()
        logs = {path: (root / log).resolve() for path, log in project.logs.items()}
        return {path: log for path, log in logs.items() if root in log.parents and log.is_file()}

    def part(self, project: KnownProject) -> ProjectPart:
        """Return a project with the digest of all inputs of its part of the site."""
        made_from = digest_of(
            read_from=project.read_from,
            links=self.links(project),
            root_url=self.root_url,
            logs=self.logs(project),
        )
        return ProjectPart(made_from, project)

    def files(self, name: str, wheels: ProjectWheels, project: KnownProject) -> frozenset[str]:
        """Return the paths in the site of all of a project's files, except its page for people."""
        folder = f"simple/{name}"
        paths = {f"{folder}/{path}{LOG_SUFFIX}" for path in self.logs(project)}
        for wheel in wheels.scanned:
            apart = project.apart.get(wheel.location)
            where = f"{folder}/{apart}" if apart else folder
            for file in (wheel.filename, wheel.filename + METADATA_SUFFIX, *wheel.sidecar_names):
                paths.add(f"{where}/{file}")
        for root in ("", *(f"{target}/" for target in project.overview.offered)):
            paths.update(simple_pages(name, root))
        return frozenset(paths)


@contextlib.contextmanager
def staged(site: Path) -> Iterator[None]:
    """Keep an empty stage in a site while the block lasts."""
    stage = site / _STAGE
    shutil.rmtree(stage, ignore_errors=True)  # left over from a killed process
    for folder in ("simple", "project"):
        make_folder(stage / folder)
    try:
        yield
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def make_project(setting: Setting, task: Task) -> ProjectPart:
    """Read a project's wheels, and put on the stage the files that its part of the site still lacks.

    Raises:
        IntegrityError: a wheel is not sound, its proof is not a proof of it, or two wheels of the same name
            have different contents.
    """
    read = read_project(task.wheels, setting.dist, task.known.indexed() if task.known else ())
    project = read.kept(task.wheels.digest)
    logs = setting.logs(project)
    folder = setting.stage / "simple" / task.name
    make_folder(folder)
    published = setting.site / "simple" / task.name
    _stage_wheels(folder, published if published.is_dir() else None, read, logs)
    files = [_file(read, wheel, logs) for wheel in read.wheels]
    pages = project_pages(files, read.described, setting.links(project), setting.root_url)
    for path, data in pages.items():
        if not _has(setting.site / path, data):
            make_folder((setting.stage / path).parent)
            _write(setting.stage / path, data)
    return setting.part(project)


def _stage_wheels(folder: Path, published: Path | None, read: ReadProject, logs: Mapping[str, Path]) -> None:
    """Put wheels and the files next to them on the stage, except those that are ``published`` already."""
    for wheel in read.wheels:
        scanned, path = wheel.scanned, wheel.entry.path
        prefix = path[: -len(scanned.filename)]
        copies = {
            prefix + name: scanned.sibling(read.dist, name)
            for name in (scanned.filename, *scanned.sidecar_names)
        }
        if path in logs:
            copies[path + LOG_SUFFIX] = logs[path]
        if prefix:
            make_folder(folder / prefix)
        for name, source in copies.items():
            if published is None or not _is_one_file(published / name, source):
                _copy(source, folder / name)
        name, text = path + METADATA_SUFFIX, read.texts.get(scanned.location)
        if text is None and (published is None or not (published / name).is_file()):
            text = read_metadata(scanned.path(read.dist))
        if text is not None and (published is None or not _has(published / name, text)):
            _write(folder / name, text)


def _file(read: ReadProject, wheel: IndexedWheel, logs: Mapping[str, Path]) -> ListedWheel:
    """Return a wheel for its project's page, with its proofs if the page shows them."""
    is_newest = wheel.entry.is_of_release(read.newest)
    return ListedWheel(wheel.entry, read.proofs_of(wheel) if is_newest else {}, wheel.entry.path in logs)


def move_project(setting: Setting, name: str, project: KnownProject) -> None:
    """Move a project's part from the stage into the site; wheels go first, so that no page names a missing wheel."""
    folder, published = (root / "simple" / name for root in (setting.stage, setting.site))
    if published.is_dir():
        for file in sorted(folder.iterdir(), key=_pages_last):
            _move(file, published / file.name)
    else:
        make_folder(published.parent)
        folder.replace(published)
    pages = [page for target in project.overview.offered for page in simple_pages(name, f"{target}/")]
    for page in (*pages, people.project_path(name)):
        if (setting.stage / page).exists():
            make_folder((setting.site / page).parent)
            (setting.stage / page).replace(setting.site / page)


def _pages_last(file: Path) -> tuple[bool, str]:
    return file.name in ("index.html", "index.json"), file.name


def _move(file: Path, destination: Path) -> None:
    """Move a file; merge a folder into an existing one."""
    if not file.is_dir():
        file.replace(destination)
        return
    make_folder(destination)
    for below in file.iterdir():
        below.replace(destination / below.name)


def _is_one_file(path: Path, source: Path) -> bool:
    try:
        return path.samefile(source)
    except OSError:
        return False


def _has(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except OSError:
        return False


def write_pages(setting: Setting, pages: Mapping[str, bytes]) -> None:
    """Write the pages whose bytes in the site differ; ``pages`` maps paths in the site to contents."""
    for path, data in pages.items():
        destination = setting.site / path
        if not _has(destination, data):
            make_folder(destination.parent)
            _write(setting.stage / _PAGE, data)
            (setting.stage / _PAGE).replace(destination)


def remove(site: Path, paths: Iterable[str]) -> None:
    """Remove these files of a site, and their folders in ``simple/`` if nothing else is in them."""
    removed = list(paths)
    for path in removed:
        (site / path).unlink()
    for folder in {path.rpartition("/")[0] for path in removed} - {"project"}:
        with contextlib.suppress(OSError):  # the folder is not empty
            (site / folder).rmdir()


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    path.chmod(0o644)  # independent of the umask, because web servers have to read a site


def _copy(source: Path, destination: Path) -> None:
    if source.stat().st_mode & 0o044 == 0o044:
        place_link(source, destination)
    else:  # a link would share the mode
        _write(destination, source.read_bytes())
