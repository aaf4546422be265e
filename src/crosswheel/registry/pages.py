"""Reads a project's page in a registry (PEP 503, PEP 691) and picks the files of a release.

This is apart from the cached answers, because the libraries that read pages take long to import.
"""

from __future__ import annotations

import bisect
import functools
from collections.abc import Iterable, Sequence
from typing import Any

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

# The endings of sdists today. Files with the other endings that pypi-simple knows are few.
_SDIST_ENDINGS = (".tar.gz", ".zip", ".tar.bz2")


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
    response = _answer(client, registry or PYPI_SIMPLE_ENDPOINT, project)
    of_version = _of_version(_page(response, project, version), version)
    if not of_version:
        nearest = _nearest(version, filter(None, map(_version_of, _installable(_page(response, project)))))
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


def ask_all(
    client: httpx.Client, registry: str | None, project: NormalizedName
) -> dict[Version, list[ReleaseFile]]:
    """Ask a registry for the usable files of all releases of a project.

    Raises: as :func:`ask`.
    """
    releases: dict[Version, list[ReleaseFile]] = {}
    for package in _installable(_page(_answer(client, registry or PYPI_SIMPLE_ENDPOINT, project), project)):
        version = _version_of(package)
        file = _release_file(package)
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


def _answer(client: httpx.Client, registry: str, project: NormalizedName) -> httpx.Response:
    """Return a registry's answer that has a project's page."""
    response = _response(client, registry, project)
    if response.status_code == httpx.codes.NOT_FOUND:
        raise PlanError(
            f"the registry has no project {project}",
            hint="check its name; if it is on another registry, name that one in PIP_INDEX_URL.",
        )
    return response


def _page(response: httpx.Response, project: NormalizedName, version: Version | None = None) -> ProjectPage:
    """Return the page of an answer; if ``version`` is given, files of other versions may be missing in it."""
    try:
        return _parsed_page(response, project, version)
    except (ValueError, UnsupportedRepoVersionError) as error:
        raise NetworkError(
            f"{response.url.host} gave no usable page (PEP 503, 691) for {project}: {error}",
            hint="check that PIP_INDEX_URL is the address of a simple index.",
        ) from error


def _parsed_page(response: httpx.Response, project: str, version: Version | None) -> ProjectPage:
    if response.headers.get("Content-Type", "").partition(";")[0].endswith("+json"):
        page = response.json()
        return ProjectPage.from_json_data(
            page if version is None else _reduced(page, version), str(response.url)
        )
    return ProjectPage.from_html(
        project, response.content, str(response.url), from_encoding=response.charset_encoding
    )


def _reduced(page: Any, version: Version) -> Any:
    """Return a JSON page without the files that are certainly of other versions than ``version``.

    pypi-simple takes ten times as long to parse an entry as this to read its name, and a page may have thousands.
    What is not understood is kept, so that pypi-simple judges it; entries of other versions are not judged.
    """

    @functools.cache  # the wheels of a release all have the same text
    def is_wanted(text: str) -> bool:
        try:
            return Version(text) == version
        except InvalidVersion:
            return False

    def may_be_wanted(entry: Any) -> bool:
        texts = _possible_versions(entry.get("filename")) if isinstance(entry, dict) else None
        return texts is None or any(map(is_wanted, texts))

    if not isinstance(page, dict) or not isinstance(page.get("files"), list):
        return page
    return {**page, "files": list(filter(may_be_wanted, page["files"]))}


def _possible_versions(filename: object) -> Sequence[str] | None:
    """Return all parts of a file's name that may be its version; ``None`` if the name is not understood.

    What pypi-simple takes for the version is one of them, whatever it takes for the project.
    """
    if not isinstance(filename, str):
        return None
    if filename.endswith(".whl"):
        return filename.split("-")[1:2]
    ending = next(filter(filename.endswith, _SDIST_ENDINGS), None)
    if ending is None:
        return None
    # Projects and versions may both have dashes in old sdists: what follows any dash may be the version.
    parts = filename.removesuffix(ending).split("-")
    return ["-".join(parts[start:]) for start in range(1, len(parts))]


def _installable(page: ProjectPage) -> list[DistributionPackage]:
    """Return the wheels and sdists that a project page lists."""
    return [package for package in page.packages if package.package_type in ("wheel", "sdist")]


def _of_version(page: ProjectPage, version: Version) -> list[DistributionPackage]:
    """Return the wheels and sdists of one version that a project page lists."""
    return [package for package in _installable(page) if _version_of(package) == version]


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
