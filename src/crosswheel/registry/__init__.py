"""Asks the package registry for the files of releases, and downloads them."""

from __future__ import annotations

import copy
import datetime
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from packaging.utils import NormalizedName, canonicalize_name, canonicalize_version
from packaging.version import InvalidVersion, Version
from pydantic import ValidationError

from crosswheel.cached import cached_path
from crosswheel.closing import Closing
from crosswheel.download import Progress, download, get, new_client, offline_error
from crosswheel.errors import PlanError
from crosswheel.files import place_copy, write_text
from crosswheel.private_index import index_of
from crosswheel.registry.credentials import RegistryAuth
from crosswheel.registry.release_files import ProjectRelease, ReleaseFile, with_password, without_password
from crosswheel.settings import Settings

__all__ = ["Registry", "ReleaseFile"]

_MAX_AGE = datetime.timedelta(days=1)


class Registry(Closing):
    """The package registry: releases and their files, each fetched once and then taken from the cache.

    It holds one HTTP client, may be used from several threads, and is closed as a context manager.

    Args:
        settings: the registry, the cache, and whether the network may be used.
        max_age: for how long to take a release's list of files from the cache; files are seldom added later.
    """

    def __init__(self, settings: Settings, *, max_age: datetime.timedelta = _MAX_AGE) -> None:
        self._settings = settings
        self._max_age = max_age
        self._client = new_client(RegistryAuth(settings.indexes))
        self._projects: Mapping[str, tuple[Version, ReleaseFile]] = {}
        self._has: dict[tuple[str | None, str], bool] = {}

    def offering(self, projects: Mapping[str, tuple[str, ReleaseFile]]) -> Registry:
        """Return a registry that also has the user's own projects, whose names it never sends to a server.

        Args:
            projects: the version and the cached file of each project, by normalised name.
        """
        offering = copy.copy(self)
        own = {name: (_parsed_version(version), file) for name, (version, file) in projects.items()}
        offering._projects = {**self._projects, **own}
        return offering

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def release_files(self, name: str, version: str | Version, *, refresh: bool = False) -> list[ReleaseFile]:
        """Return the wheels and sdists of a release, yanked ones included.

        Args:
            refresh: ask the registry even if a recent answer is cached.

        Raises:
            PlanError: the registry has no such project or release, or no usable file of it.
            NetworkError: the registry cannot be reached, or the answer is not cached in offline mode.
        """
        project, parsed = canonicalize_name(name), _parsed_version(version)
        if project in self._projects:
            return self._project_files(project, parsed)
        cached = self._answer_file(project, parsed)
        is_usable = self._settings.offline or (not refresh and self._is_recent(cached))
        cached_files = _cached_release(cached) if is_usable else None
        if cached_files is not None:
            return list(cached_files.files)
        if self._settings.offline:
            raise offline_error(f"what the registry has of {name} {version}")
        from crosswheel.registry.pages import ask  # slow to import, often not needed

        release = ProjectRelease(
            files=tuple(ask(self._client, self._registry_of(project), project, parsed, name))
        )
        write_text(cached, release.model_dump_json(indent=1))
        return list(release.files)

    def has_answer(self, name: str, version: str | Version) -> bool:
        """Tell whether :meth:`release_files` need not ask a registry, unless what the cache has is damaged.

        Of several general registries, any one is asked first whether it has the project.

        Raises:
            PlanError: this is no version.
        """
        project, parsed = canonicalize_name(name), _parsed_version(version)
        if project in self._projects:
            return True
        return not self._settings.extra_registries and self._is_recent(self._answer_file(project, parsed))

    def releases(self, name: str, *, missing_ok: bool = False) -> Mapping[Version, Sequence[ReleaseFile]]:
        """Return the usable files of all releases of a project, without using the cache.

        Args:
            missing_ok: return nothing if the registry has no such project.

        Raises:
            PlanError: the registry has no such project.
            NetworkError: the registry cannot be reached, or the network may not be used.
        """
        if self._settings.offline:
            raise offline_error(f"what the registry has of {name}")
        from crosswheel.registry.pages import ask_all

        project = canonicalize_name(name)
        try:
            return ask_all(self._client, self._registry_of(project), project)
        except PlanError:
            if missing_ok:
                return {}
            raise

    def content(self, url: str) -> bytes:
        """Return the content of a URL from a registry's answer.

        Raises:
            NetworkError: it cannot be fetched.
        """
        return get(self._client, url, accept="*/*").content

    def registries_with(self, name: str) -> Sequence[str | None]:
        """Return the URLs of all general registries that have a project, the one that it comes from first.

        Raises:
            NetworkError: one of them cannot be reached.
        """
        project, settings = canonicalize_name(name), self._settings
        every = [*settings.extra_registries, settings.registry]
        private = index_of(settings.indexes, project) or project in self._projects
        return [] if private else [url for url in every if self._is_on(url, project)]

    def _registry_of(self, project: NormalizedName) -> str | None:
        """Return the URL of the private index that a package belongs to, or of the general registry that has it."""
        index = index_of(self._settings.indexes, project)
        extra = self._settings.extra_registries if index is None else ()
        having = (url for url in extra if self._is_on(url, project))
        return index.url if index else next(having, self._settings.registry)

    def _is_on(self, registry: str | None, project: NormalizedName) -> bool:
        """Tell whether a registry has a project; without network, whether it ever said so."""
        if self._settings.offline:
            return (self._answers(registry) / project).is_dir()
        if (registry, project) not in self._has:
            from crosswheel.registry.pages import has_project

            self._has[registry, project] = has_project(self._client, registry, project)
        return self._has[registry, project]

    def _project_files(self, project: NormalizedName, version: Version) -> list[ReleaseFile]:
        there, file = self._projects[project]
        if there != version:
            raise PlanError(
                f"your project {project} is at version {there}, and {version} is asked for",
                hint="renew its lock with `crosswheel lock`, or ask for the version that it has.",
            )
        return [file]

    def fetch(
        self, file: ReleaseFile, folder: Path | None = None, *, progress: Progress | None = None
    ) -> Path:
        """Return the path of a release's file, downloading it unless the cache has a file of its hash.

        Args:
            folder: a folder to put it into; the path is that in the cache by default.
            progress: called with the progress of the download.

        Raises:
            NetworkError: it cannot be fetched.
            IntegrityError: it does not have the hash that the registry states.
            StorageError: it cannot be written.
        """
        url = file.url
        for registry in (self._settings.registry, *self._settings.extra_registries):
            url = with_password(url, registry)
        kept = download(
            url,
            self.kept(file.sha256, file.filename),
            sha256=file.sha256,
            settings=self._settings,
            progress=progress,
            client=self._client,
        )
        if folder is None:
            return kept
        place_copy(kept, folder / file.filename)
        return folder / file.filename

    def kept(self, sha256: str, filename: str) -> Path:
        """Return the cache's path for a file of this hash and name."""
        return cached_path(self._settings.cache, "files", sha256[:2]) / sha256 / filename

    def _is_recent(self, answer: Path) -> bool:
        """Tell whether the cache has an answer that is not too old."""
        try:
            age = datetime.timedelta(seconds=time.time() - answer.stat().st_mtime)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return age < self._max_age

    def _answer_file(self, project: NormalizedName, version: Version) -> Path:
        answers = self._answers(self._registry_of(project)) / project
        return answers / f"{canonicalize_version(version)}.json"

    def _answers(self, address: str | None) -> Path:
        """Return the cache's folder of a registry's answers."""
        registry = without_password(address) if address else None
        return cached_path(self._settings.cache, "registry", {"registry": registry})


def _parsed_version(version: str | Version) -> Version:
    try:
        return Version(str(version))
    except InvalidVersion as error:
        raise PlanError(
            f"{version!r} is not a version", hint="write it as PEP 440 has it, such as 3.3.4."
        ) from error


def _cached_release(path: Path) -> ProjectRelease | None:
    try:
        return ProjectRelease.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValidationError):  # missing, or written by another version
        return None
