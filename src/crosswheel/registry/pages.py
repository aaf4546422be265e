"""Reads a project's page in a registry (PEP 503, PEP 691) and picks the files of a release.

This is apart from the cached answers, because the libraries that read pages take long to import.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence

import httpx
from packaging.utils import NormalizedName
from packaging.version import InvalidVersion, Version
from pydantic import ValidationError
from pypi_simple import (
    ACCEPT_JSON_PREFERRED,
    PYPI_SIMPLE_ENDPOINT,
    DistributionPackage,
    ProjectPage,
    UnsupportedRepoVersionError,
)

from crosswheel.download import get
from crosswheel.errors import NetworkError, PlanError
from crosswheel.registry.release_files import ReleaseFile, without_password


def ask(
    client: httpx.Client, registry: str | None, project: NormalizedName, version: Version, name: str
) -> list[ReleaseFile]:
    """Ask a registry for the usable files of a release.

    Args:
        registry: the URL of its simple index; pypi-simple's default if not given.
        name: the project's name as the user spells it, for messages.

    Raises:
        PlanError: the registry has no such project or release, or no usable file of it.
        NetworkError: the registry cannot be reached, or its answer is not that of a simple index.
    """
    return _files_of(_page(client, registry or PYPI_SIMPLE_ENDPOINT, project), name, version)


def ask_all(
    client: httpx.Client, registry: str | None, project: NormalizedName
) -> dict[Version, list[ReleaseFile]]:
    """Ask a registry for the usable files of all releases of a project.

    Raises: as :func:`ask`.
    """
    releases: dict[Version, list[ReleaseFile]] = {}
    for package in _page(client, registry or PYPI_SIMPLE_ENDPOINT, project).packages:
        version = _version_of(package)
        file = _release_file(package) if package.package_type in ("wheel", "sdist") else None
        if version is not None and file is not None:
            releases.setdefault(version, []).append(file)
    return releases


def has_project(client: httpx.Client, registry: str | None, project: NormalizedName) -> bool:
    """Tell whether a registry has a project.

    Raises:
        NetworkError: the registry cannot be reached.
    """
    response = _response(client, registry or PYPI_SIMPLE_ENDPOINT, project)
    return response.status_code != httpx.codes.NOT_FOUND


def _response(client: httpx.Client, registry: str, project: NormalizedName) -> httpx.Response:
    return get(client, f"{registry.rstrip('/')}/{project}/", accept=ACCEPT_JSON_PREFERRED)


def _page(client: httpx.Client, registry: str, project: NormalizedName) -> ProjectPage:
    response = _response(client, registry, project)
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


def _release_file(package: DistributionPackage) -> ReleaseFile | None:
    """Return a project page's entry of a file; ``None`` if it has no hash, or is malformed."""
    try:
        return ReleaseFile.model_validate(
            {
                "filename": package.filename,
                "url": without_password(package.url),
                "sha256": package.digests.get("sha256"),
                "kind": package.package_type,
                "requires_python": package.requires_python,
                "yanked": package.is_yanked,
                "yanked_reason": package.yanked_reason or None,
                "upload_time": package.upload_time,
                "size": package.size,
                "has_metadata": bool(package.has_metadata),
            }
        )
    except ValidationError:
        return None


def _version_of(package: DistributionPackage) -> Version | None:
    try:
        return Version(package.version or "")
    except InvalidVersion:
        return None


def _nearest(version: Version, versions: Iterable[Version]) -> Sequence[Version]:
    """Return the versions just before and after ``version``."""
    ordered = sorted(set(versions))
    position = bisect.bisect(ordered, version)
    return ordered[max(0, position - 2) : position + 2]
