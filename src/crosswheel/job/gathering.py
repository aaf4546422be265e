"""Gathers the user's own projects: packs each, asks for its metadata, and offers it as if a registry had it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)

from crosswheel.cached import CachedFolder, cached_path
from crosswheel.download import download
from crosswheel.errors import UsageError
from crosswheel.files import digest_of, place_copy, sha256_of
from crosswheel.job.context import BuildContext
from crosswheel.job.project_metadata import metadata_of
from crosswheel.private_index import index_of
from crosswheel.projects.addresses import Archive, Location, ProjectRequest, project_request
from crosswheel.projects.local_release import LocalRelease
from crosswheel.projects.pyproject import ProjectFolder, projects_in
from crosswheel.projects.snapshot import Snapshot, take_snapshot
from crosswheel.recipes.model import GitSource
from crosswheel.registry import ReleaseFile
from crosswheel.sources.archive import unpack
from crosswheel.sources.git import clone, commit_of
from crosswheel.uv import ReleaseMetadata
from crosswheel.wheels.reading import WheelFile


@dataclass
class Gathered:
    """The projects that a request names and those that they need; each location is read once.

    Attributes:
        requirements: what was asked for, with exact releases in the place of folders and addresses.
        folders: where the projects lie, by name; those of archives do not.
    """

    context: BuildContext
    base: Path
    groups: Sequence[str] = ()
    requirements: list[str] = field(default_factory=list)
    releases: dict[str, LocalRelease] = field(default_factory=dict)
    locations: dict[str, Location] = field(default_factory=dict)
    folders: dict[str, Path] = field(default_factory=dict)
    _seen: dict[Location, tuple[LocalRelease, ...]] = field(default_factory=dict)

    def ask(self, requirement: str) -> None:
        """Add a requirement: a project's location, or a package of a registry.

        Raises:
            UsageError: a project cannot be read, or two projects have the same name.
            NetworkError: a repository or an archive cannot be fetched.
            BuildFailed: a build backend cannot tell a project's metadata.
        """
        request = project_request(requirement, self.base)
        if request is None:
            self._warn_of_folder(requirement)
            self.requirements.append(requirement)
            return
        found = self.found(request.location)
        if request.name and [release.name for release in found] != [request.name]:
            names = ", ".join(release.name for release in found)
            raise UsageError(
                f"{requirement!r}: the project there is called {names}",
                hint="write the name that it has, or none.",
            )
        for release in found:
            self.requirements.append(request.satisfied_by(release.requirement))
        self._ask_groups(request)

    def _ask_groups(self, request: ProjectRequest) -> None:
        if isinstance(request.location, Path) and request.location.is_dir():
            for project in projects_in(request.location):
                for group in self.groups:
                    for text in project.group(group):
                        replace(self, base=project.folder, groups=()).ask(text)

    def _warn_of_folder(self, requirement: str) -> None:
        folder = self.base / requirement
        if "/" not in requirement and any(
            (folder / name).is_file() for name in ("pyproject.toml", "setup.py")
        ):
            self.context.display.warning(
                f"{requirement} is looked for on the registry; the folder of that name is ./{requirement}"
            )

    def location_of(self, release: LocalRelease) -> Location:
        """Return the location of a project."""
        return self.locations[release.name]

    def found(self, location: Location) -> tuple[LocalRelease, ...]:
        """Gather the projects at a location, with the projects that they need, and return those at the location.

        Raises: as :meth:`ask`.
        """
        if location in self._seen:
            return self._seen[location]
        if isinstance(location, Archive):
            self._seen[location] = (self._of_archive(location),)
        elif isinstance(location, GitSource):
            self._seen[location] = self._of_git(location)
        elif location.is_file():
            self._seen[location] = (self._of_archive(Archive(location.as_uri())),)
        else:
            projects = projects_in(location)
            self._seen[location] = ()  # ends the recursion for a project that needs itself
            self._seen[location] = tuple(self._of_folder(project) for project in projects)
        return self._seen[location]

    def _of_folder(self, project: ProjectFolder, origin: str | None = None) -> LocalRelease:
        own = project.folder
        if self._seen.get(own):
            return self._seen[own][0]
        if not project.is_built:
            raise UsageError(
                f"{own / 'pyproject.toml'} states neither a build system nor a project",
                hint="add the tables [build-system] and [project] (PEP 517, PEP 621), with a name and a version.",
            )
        work = self.context.trees.build / "projects" / digest_of(folder=str(own))
        snapshot = take_snapshot(own, work / "source.tar", self.context.general_runner)
        metadata = metadata_of(project, snapshot, self.context)
        release = self._kept(metadata, snapshot, origin or f"the project {metadata.name}, {snapshot.origin}")
        if snapshot.dirty and origin is None:
            self.context.display.warning(
                f"{release.name} {release.version} has changes that are in no commit: nobody else can build the same"
            )
        self._require_indexes(project)
        self._add(release, own)
        self.folders[release.name] = own
        self._seen[own] = (release,)
        for name, neighbour in project.neighbours().items():
            if _needs(metadata, name):
                self.found(neighbour)
        return release

    def _require_indexes(self, project: ProjectFolder) -> None:
        """Refuse a project that takes a package from a private index which the command line does not name."""
        for name, index in project.indexes.items():
            if index_of(self.context.settings.indexes, name) is None:
                raise UsageError(
                    f"{project.folder / 'pyproject.toml'} says that {name} belongs to the registry {index}, which is "
                    "not given",
                    hint=f"add --index {index}=URL --from-index {name}={index}.",
                )

    def _kept(self, metadata: ReleaseMetadata, snapshot: Snapshot, origin: str) -> LocalRelease:
        """Put a project's source into the cache, among the files of releases."""
        name = f"{metadata.name}-{metadata.version}.tar"
        place_copy(snapshot.archive, self.context.registry.kept(snapshot.sha256, name))
        file = ReleaseFile(filename=name, url="", sha256=snapshot.sha256, kind="sdist", origin=origin)
        return LocalRelease(metadata, file, origin)

    def _add(self, release: LocalRelease, location: Location) -> None:
        known = self.releases.get(release.name)
        if known is not None and known.file.sha256 != release.file.sha256:
            raise UsageError(
                f"two projects are called {release.name}: {known.origin}, and {release.origin}",
                hint="leave one of them out, or rename it.",
            )
        if known is None:
            self.context.display.message(
                f"{release.name} {release.version} is {release.origin}; no registry is asked for a {release.name}."
            )
        self.releases[release.name] = release
        self.locations[release.name] = location

    def _of_git(self, source: GitSource) -> tuple[LocalRelease, ...]:
        runner, settings = self.context.general_runner, self.context.settings
        commit = source.commit or commit_of(source, runner, settings)
        ref = (
            commit if source.ref == "HEAD" else source.ref
        )  # with its tag, from which the backend may make the version
        pinned = source.model_copy(update={"ref": ref, "commit": commit})
        tree = cached_path(settings.cache, "git", {"url": source.url, "commit": commit}) / "tree"
        CachedFolder(tree, [".git/HEAD"]).make(lambda temporary: clone(pinned, temporary, runner))
        project = ProjectFolder((tree / (source.path or "")).resolve())
        if not project.folder.is_dir():
            raise UsageError(
                f"{source} has no folder {source.path}", hint="correct subdirectory= in the address."
            )
        release = self._of_folder(project, f"git {source.url} {source.ref}, commit {commit}")
        self.locations[release.name] = source.model_copy(update={"commit": commit})
        return (release,)

    def _of_archive(self, archive: Archive) -> LocalRelease:
        parts = urlsplit(archive.url)
        filename = Path(unquote(parts.path)).name
        if parts.scheme == "file":
            path = Path(unquote(parts.path))
            if not path.is_file():
                raise UsageError(f"there is no file {path}", hint="check the path.")
            sha256 = sha256_of(path)
        else:
            folder = self.context.trees.build / "projects" / digest_of(url=archive.url)
            path = download(
                archive.url, folder / filename, sha256=archive.sha256, settings=self.context.settings
            )
            sha256 = sha256_of(path)
        if archive.sha256 not in (None, sha256):
            raise UsageError(
                f"{archive.url} has sha256 {sha256}, not {archive.sha256}", hint="find out who changed it."
            )
        where = filename if parts.scheme == "file" else archive.url
        place_copy(path, self.context.registry.kept(sha256, filename))
        metadata, kind = self._archived(path, filename)
        file = ReleaseFile(filename=filename, url="", sha256=sha256, kind=kind, origin=f"the archive {where}")
        release = LocalRelease(metadata, file, f"the archive {where}")
        self._add(release, archive)
        return release

    def _archived(self, path: Path, filename: str) -> tuple[ReleaseMetadata, Literal["wheel", "sdist"]]:
        try:
            if filename.endswith(".whl"):
                parse_wheel_filename(filename)
                return _of_wheel(WheelFile.open(path)), "wheel"
            parse_sdist_filename(filename)
        except (InvalidWheelFilename, InvalidSdistFilename) as error:
            raise UsageError(
                f"{filename} is neither a wheel nor an sdist", hint="name NAME-VERSION.tar.gz, or a wheel."
            ) from error
        work = self.context.trees.build / "projects" / sha256_of(path)[:20]
        shutil.rmtree(work, ignore_errors=True)
        tree = ProjectFolder(unpack(path, work / "unpack"))
        return metadata_of(tree, Snapshot(path, sha256_of(path)), self.context), "sdist"


def _of_wheel(wheel: WheelFile) -> ReleaseMetadata:
    return ReleaseMetadata(
        name=wheel.name, version=str(wheel.version), requires_dist=tuple(map(str, wheel.requires_dist))
    )


def _needs(metadata: ReleaseMetadata, name: str) -> bool:
    try:
        return name in {canonicalize_name(Requirement(text).name) for text in metadata.requires_dist}
    except InvalidRequirement:
        return False


def gather(
    requirements: Iterable[str], context: BuildContext, groups: Sequence[str] = (), base: Path | None = None
) -> Gathered:
    """Return requirements with exact releases instead of projects, and these projects.

    Raises: as :meth:`Gathered.ask`.
    """
    gathered = Gathered(context, base or Path.cwd(), groups)
    for requirement in requirements:
        gathered.ask(requirement)
    return gathered
