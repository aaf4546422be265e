"""Provide the source of a Python: its authors' archive, verified by hash, from any server."""

from __future__ import annotations

import shutil
from pathlib import Path

from packaging.version import Version

from crosswheel.cached import cached_folder
from crosswheel.debian import Debian, host_architecture
from crosswheel.download import download, is_absent
from crosswheel.errors import IntegrityError, NetworkError
from crosswheel.files import sha256_of
from crosswheel.process import Runner
from crosswheel.settings import Settings
from crosswheel.targets import PythonSource

_UNSTABLE = "sid"  # has each release of CPython a few days after its authors made it
_MIRROR = "name a mirror of CPython's source archives in CROSSWHEEL_CPYTHON_URL"


def source_archive(source: PythonSource, settings: Settings, runner: Runner) -> Path:
    """Return the verified source archive of a Python; download it if needed.

    It comes from the mirror that the user names, or otherwise from Debian's source package, which has the same file.

    Raises:
        NetworkError, MissingToolError: it is not available.
        IntegrityError: the downloaded file has another hash.
    """

    def fill(temporary: Path) -> None:
        if settings.cpython:
            _download(source, temporary / source.file, settings)
        else:
            _take(source, temporary / source.file, settings, runner)

    return (
        cached_folder(settings.cache, "python-source", source.sha256[:20], fill, [source.file]) / source.file
    )


def newest_release(source: PythonSource, settings: Settings, runner: Runner) -> Version:
    """Return the newest release of a source's minor version: the one that Debian unstable has, or its own.

    Raises:
        MissingToolError: this machine has no apt.
        NetworkError: Debian's list of packages is not available.
    """
    short = ".".join(source.version.split(".")[:2])
    debian = Debian(host_architecture(), settings, runner, suite=_UNSTABLE)
    # As deb-version(7) has it, with the revision behind the last hyphen.
    known = [version.rpartition("-")[0].replace("~", "") for version in debian.versions(f"python{short}")]
    return max(map(Version, [source.version, *known]))


def _download(source: PythonSource, path: Path, settings: Settings) -> None:
    url = f"{settings.cpython}/{source.version}/{source.file}"
    try:
        download(url, path, sha256=source.sha256, settings=settings)
    except NetworkError as error:
        what = f"the server has no {source.version}/{source.file}" if is_absent(error) else str(error)
        raise NetworkError(
            f"the source of Python {source.version} could not be downloaded: {what}",
            hint=f"{_MIRROR}, or unset it to have the source from Debian.",
        ) from error


def _take(source: PythonSource, path: Path, settings: Settings, runner: Runner) -> None:
    if source.package is None or source.suite is None:
        raise NetworkError(
            f"Debian has no source of Python {source.version}",
            hint=f"{_MIRROR}: what is received has to have the hash {source.sha256}.",
        )
    debian = Debian(host_architecture(), settings, runner, suite=source.suite)
    archive = debian.source(source.package, path.parent / "package")
    actual = sha256_of(archive)
    if actual != source.sha256:
        raise IntegrityError(
            f"Debian's {source.suite} has another release of {source.package} than Python {source.version}: "
            f"{archive.name}, with the hash {actual}",
            hint=f"{_MIRROR}, which has all releases; or use a newer crosswheel.",
        )
    archive.rename(path)
    shutil.rmtree(path.parent / "package")
