"""What the package registry has of a release, and its files."""

from __future__ import annotations

import bisect
import datetime
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Annotated, Literal, Optional, Union

import httpx
from packaging.utils import NormalizedName, canonicalize_name, canonicalize_version
from packaging.version import InvalidVersion, Version
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pypi_simple import (
    ACCEPT_JSON_PREFERRED,
    DistributionPackage,
    ProjectPage,
    UnsupportedRepoVersionError,
)

from crosswheel.errors import NetworkError, PlanError
from crosswheel.files import digest_of, place_copy, write_text
from crosswheel.settings import Settings
from crosswheel.sources.download import Progress, download, get, new_client, offline_error

_MAX_AGE = datetime.timedelta(days=1)


class ReleaseFile(BaseModel):
    """A wheel or an sdist of a release.

    Attributes:
        sha256: of its bytes; files whose hash the registry does not tell are not offered.
        requires_python: the versions of Python it is for (PEP 440 specifiers).
        yanked: withdrawn by its publisher (PEP 592).
        upload_time: when it came to the registry, where that is told (PEP 700).
        size: in bytes, where that is told (PEP 700).
        has_metadata: its metadata can be had alone (PEP 658).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    # A plain name: it becomes part of a path.
    filename: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][^/\\]*$")]
    url: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    kind: Literal["wheel", "sdist"]
    requires_python: Optional[str] = None
    yanked: bool = False
    upload_time: Optional[datetime.datetime] = None
    size: Optional[int] = None
    has_metadata: bool = False


class _Release(BaseModel):
    """A registry's answer as it is cached."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: tuple[ReleaseFile, ...]


class Registry:
    """The package registry: releases and their files, each fetched once and then found in the cache.

    It holds one HTTP client, may be used from several threads, and is closed as a context manager.

    Args:
        settings: which registry, where the cache is, and whether the network may be used.
        max_age: how long an answer about a release is taken from the cache; files are seldom added later.
    """

    def __init__(self, settings: Settings, *, max_age: datetime.timedelta = _MAX_AGE) -> None:
        self._settings = settings
        self._max_age = max_age
        self._client = new_client()

    def __enter__(self) -> Registry:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def release_files(
        self, name: str, version: Union[str, Version], *, refresh: bool = False
    ) -> list[ReleaseFile]:
        """Return the wheels and sdists of a release, yanked ones included.

        Args:
            refresh: ask the registry even if its answer is cached and young.

        Raises:
            PlanError: the registry has no such project or release, or no usable file of it.
            NetworkError: the registry cannot be reached, or it is not cached in offline mode.
        """
        project, wanted = canonicalize_name(name), _parsed_version(version)
        cached = self._answer_file(project, wanted)
        found = _cached_release(cached)
        if found is not None and (self._settings.offline or (not refresh and _age(cached) < self._max_age)):
            return list(found.files)
        if self._settings.offline:
            raise offline_error(f"what the registry has of {name} {version}")
        release = _Release(files=tuple(_files_of(self._page(project), name, wanted)))
        write_text(cached, release.model_dump_json(indent=1))
        return list(release.files)

    def fetch(
        self, file: ReleaseFile, folder: Optional[Path] = None, *, progress: Optional[Progress] = None
    ) -> Path:
        """Return where a release's file is, downloaded once and then found by its hash.

        Args:
            folder: where it shall be put as well; else the path is the one in the cache.
            progress: told how far the download is.

        Raises:
            NetworkError: it cannot be had.
            IntegrityError: it has another hash than the registry said.
            StorageError: it cannot be written.
        """
        store = self._settings.cache / "files" / file.sha256[:2] / file.sha256
        kept = download(
            file.url,
            store / file.filename,
            sha256=file.sha256,
            settings=self._settings,
            progress=progress,
            client=self._client,
        )
        if folder is None:
            return kept
        place_copy(kept, folder / file.filename)
        return folder / file.filename

    def _answer_file(self, project: NormalizedName, version: Version) -> Path:
        answers = self._settings.cache / "registry" / digest_of(registry=self._settings.registry)
        return answers / project / f"{canonicalize_version(version)}.json"

    def _page(self, project: NormalizedName) -> ProjectPage:
        url = f"{self._settings.registry.rstrip('/')}/{project}/"
        response = get(self._client, url, accept=ACCEPT_JSON_PREFERRED)
        if response.status_code == httpx.codes.NOT_FOUND:
            raise PlanError(
                f"the registry has no project {project}",
                hint="check its name; if it is on another registry, name that one in PIP_INDEX_URL.",
            )
        try:
            return _parsed_page(response, project)
        except (ValueError, UnsupportedRepoVersionError) as error:
            raise NetworkError(
                f"{response.url.host} gave no usable page (PEP 503, 691) for {project}: {error}",
                hint="check that PIP_INDEX_URL is the address of a simple index.",
            ) from error


def _parsed_page(response: httpx.Response, project: str) -> ProjectPage:
    if response.headers.get("Content-Type", "").partition(";")[0].endswith("+json"):
        return ProjectPage.from_json_data(response.json(), str(response.url))
    return ProjectPage.from_html(
        project, response.content, str(response.url), from_encoding=response.charset_encoding
    )


def _files_of(page: ProjectPage, name: str, version: Version) -> list[ReleaseFile]:
    """Return the usable files of one version that a project page lists."""
    packages = [package for package in page.packages if package.package_type in ("wheel", "sdist")]
    of_version = [package for package in packages if _version_of(package) == version]
    if not of_version:
        nearest = _nearest(version, filter(None, map(_version_of, packages)))
        raise PlanError(
            f"the registry has no release {version} of {name}",
            hint=f"the nearest that it has: {', '.join(map(str, nearest)) or 'none'}.",
        )
    files = [file for file in map(_release_file, of_version) if file is not None]
    if not files:
        raise PlanError(
            f"the registry tells no SHA-256 of the files of {name} {version}",
            hint="name a registry in PIP_INDEX_URL that does: files are only used if their hash is known.",
        )
    return files


def _release_file(package: DistributionPackage) -> Optional[ReleaseFile]:
    """Return what a project page says of a file, or ``None`` where it says no hash or something absurd."""
    try:
        return ReleaseFile.model_validate(
            {
                "filename": package.filename,
                "url": package.url,
                "sha256": package.digests.get("sha256"),
                "kind": package.package_type,
                "requires_python": package.requires_python,
                "yanked": package.is_yanked,
                "upload_time": package.upload_time,
                "size": package.size,
                "has_metadata": bool(package.has_metadata),
            }
        )
    except ValidationError:
        return None


def _parsed_version(version: Union[str, Version]) -> Version:
    try:
        return Version(str(version))
    except InvalidVersion as error:
        raise PlanError(
            f"{version!r} is not a version", hint="write it as PEP 440 has it, such as 3.3.4."
        ) from error


def _version_of(package: DistributionPackage) -> Optional[Version]:
    try:
        return Version(package.version or "")
    except InvalidVersion:
        return None


def _nearest(wanted: Version, versions: Iterable[Version]) -> Sequence[Version]:
    """Return the versions just before and after ``wanted``."""
    ordered = sorted(set(versions))
    position = bisect.bisect(ordered, wanted)
    return ordered[max(0, position - 2) : position + 2]


def _cached_release(path: Path) -> Optional[_Release]:
    try:
        return _Release.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValidationError):  # absent, or written by another version
        return None


def _age(path: Path) -> datetime.timedelta:
    return datetime.timedelta(seconds=time.time() - path.stat().st_mtime)
