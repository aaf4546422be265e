"""Read locks of other tools (PEP 751, uv, Poetry, PDM, Pipenv) for one target: the exact releases that apply there."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.markers import InvalidMarker, Marker
from packaging.pylock import Package, Pylock, PylockValidationError
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from crosswheel.errors import LockError, UsageError
from crosswheel.targets import Target

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

UV_LOCK = "uv.lock"
_PUBLIC = ("main", "default")  # Poetry's and PDM's names for the group of a project's own requirements


@dataclass(frozen=True)
class ForeignPin:
    """A release in another tool's lock; ``hashes`` as ``sha256:…``, empty if the lock has none."""

    name: str
    version: str
    hashes: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """The line of a requirements file that only this release satisfies."""
        return " ".join([f"{self.name}=={self.version}", *(f"--hash={value}" for value in self.hashes)])


@dataclass(frozen=True)
class ForeignLock:
    """The contents of another tool's lock that apply to one target.

    Attributes:
        projects: the folders and URLs that it names, as on the command line.
        is_partial: whether it does not separate the project's requirements from those of its development, so that it
            can only constrain the project's requirements.
    """

    pins: tuple[ForeignPin, ...]
    projects: tuple[str, ...] = ()
    is_partial: bool = False


def is_foreign_lock(path: Path) -> bool:
    """Return whether a file's name is that of another tool's lock."""
    return path.name in (UV_LOCK, *_READERS) or _is_pylock(path.name)


def read_foreign_lock(path: Path, target: Target, groups: Collection[str] = ()) -> ForeignLock:
    """Read another tool's lock; uv's has to be exported as a ``pylock.toml`` first.

    Args:
        groups: additional dependency groups.

    Raises:
        UsageError: it cannot be read.
        LockError: it was made for other versions of Python than the target's.
    """
    read = _pylock if _is_pylock(path.name) or path.name == UV_LOCK else _READERS[path.name]
    try:
        text = path.read_text(encoding="utf-8")
        document = (
            json.loads(text) if path.suffix == ".lock" and text.startswith("{") else tomllib.loads(text)
        )
        return read(document, target, frozenset(groups))
    except (OSError, ValueError, PylockValidationError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{path} cannot be read: {type(error).__name__}: {error}",
            hint="make it anew with the tool that made it, in the newest version of that.",
        ) from error


def _is_pylock(name: str) -> bool:
    return name == "pylock.toml" or (name.startswith("pylock.") and name.endswith(".toml"))


def _require_python(stated: Iterable[str | None], target: Target) -> None:
    """Raise :class:`LockError` if none of the stated Python versions is the target's (PEP 440)."""
    specifiers = [text for text in stated if text and text != "*"]
    try:
        fits = [SpecifierSet(text).contains(target.python.version, prereleases=True) for text in specifiers]
    except InvalidSpecifier:
        return  # a dialect, such as Poetry's ^3.10; each release states its own requirement
    if fits and not any(fits):
        raise LockError(
            f"the lock is for Python {' or '.join(specifiers)}, and {target.title} has {target.python.version}",
            hint="lock the project for that version as well (requires-python), or choose a target whose Python fits.",
        )


def _applies(marker: object, target: Target, **more: Any) -> bool:
    if not marker:
        return True
    try:
        parsed = marker if isinstance(marker, Marker) else Marker(str(marker))
    except InvalidMarker as error:
        raise ValueError(f"{marker!r} is no marker") from error
    context = "lock_file" if more else "metadata"
    return parsed.evaluate({**target.marker_environment, "extra": "", **more}, context=context)  # type: ignore[arg-type]


def _pylock(document: Mapping[str, Any], target: Target, groups: Collection[str]) -> ForeignLock:
    lock = Pylock.from_dict(document)
    _require_python([str(lock.requires_python) if lock.requires_python else None], target)
    chosen = {"extras": frozenset[str](), "dependency_groups": {*(lock.default_groups or ()), *groups}}
    packages = [package for package in lock.packages if _applies(package.marker, target, **chosen)]
    pins = [package for package in packages if package.wheels or package.sdist]
    addresses = [address for package in packages if (address := _address(package))]
    return ForeignLock(tuple(map(_pin_of, pins)), tuple(addresses))


def _pin_of(package: Package) -> ForeignPin:
    if package.version is None:
        raise ValueError(f"{package.name} has no version")
    hashes = [wheel.hashes.get("sha256") for wheel in package.wheels or ()]
    hashes += [package.sdist.hashes.get("sha256")] if package.sdist else []
    return ForeignPin(
        package.name, str(package.version), tuple(f"sha256:{value}" for value in hashes if value)
    )


def _address(package: Package) -> str | None:
    if package.directory:
        return _folder(package.directory.path)
    if package.vcs and package.vcs.type == "git":
        below = f"#subdirectory={package.vcs.subdirectory}" if package.vcs.subdirectory else ""
        return f"{package.name} @ git+{package.vcs.url}@{package.vcs.commit_id}{below}"
    if package.archive and package.archive.url:
        sha256 = package.archive.hashes.get("sha256")
        return f"{package.name} @ {package.archive.url}" + (f"#sha256={sha256}" if sha256 else "")
    return None


def _folder(path: str) -> str:
    return path if path.startswith(("/", ".")) else f"./{path}"


def _poetry(document: Mapping[str, Any], target: Target, groups: Collection[str]) -> ForeignLock:
    _require_python([document["metadata"].get("python-versions")], target)
    packages = document.get("package", [])
    is_partial = any("groups" not in package for package in packages)
    wanted = {*_PUBLIC, *groups}
    chosen = [
        package
        for package in packages
        if (is_partial or wanted & set(package["groups"])) and (is_partial or not package.get("optional"))
    ]
    return _of_tables(document, chosen, target, "markers", is_partial=is_partial, groups=wanted)


def _pdm(document: Mapping[str, Any], target: Target, groups: Collection[str]) -> ForeignLock:
    metadata = document["metadata"]
    targets = [entry.get("requires_python") for entry in metadata.get("targets", ())]
    _require_python(targets or [metadata.get("requires_python")], target)
    packages = document.get("package", [])
    # Without the strategy inherit_metadata, PDM does not write down which groups need a package.
    is_partial = any("groups" not in package for package in packages)
    wanted = {*_PUBLIC, *groups}
    chosen = [package for package in packages if is_partial or wanted & set(package["groups"])]
    return _of_tables(document, chosen, target, "marker", is_partial=is_partial, groups=wanted)


def _of_tables(
    document: Mapping[str, Any],
    packages: Iterable[Mapping[str, Any]],
    target: Target,
    key: str,
    *,
    is_partial: bool,
    groups: Collection[str],
) -> ForeignLock:
    """Return the contents of Poetry's and PDM's ``[[package]]`` tables, which have their markers under ``key``."""
    pins: dict[str, ForeignPin] = {}
    projects = []
    for package in packages:
        marker = package.get(key)
        if isinstance(marker, Mapping):  # Poetry's markers by group
            marker = next((text for group, text in marker.items() if group in groups), None)
        if not _applies(marker, target) or not _fits_python(package, target):
            continue
        address = _address_of_table(package)
        if address:
            projects.append(address)
            continue
        name = str(canonicalize_name(package["name"]))
        files = _files_of(package, document["metadata"].get("files", {}))
        hashes = [*(file["hash"] for file in files), *pins.get(name, _NO_PIN).hashes]
        pins[name] = ForeignPin(name, package["version"], tuple(dict.fromkeys(hashes)))
    return ForeignLock(tuple(pins.values()), tuple(projects), is_partial)


_NO_PIN = ForeignPin("", "")


def _files_of(package: Mapping[str, Any], apart: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """Return a package's files; locks of older versions have them apart, by name (Poetry) or name and version (PDM)."""
    name = package["name"]
    files: Iterable[Mapping[str, Any]] = (
        package.get("files") or apart.get(f"{name} {package['version']}") or apart.get(name, ())
    )
    return files


def _fits_python(package: Mapping[str, Any], target: Target) -> bool:
    """Return whether one of several entries of a package is for the target's Python."""
    text = package.get("python-versions") or package.get("requires_python") or ""
    try:
        return SpecifierSet("" if text == "*" else text).contains(target.python.version, prereleases=True)
    except InvalidSpecifier:
        return True


def _address_of_table(package: Mapping[str, Any]) -> str | None:
    source = package.get("source", {})
    kind = source.get("type")
    git = package.get("git") or (source.get("url") if kind == "git" else None)
    if git:
        return f"{package['name']} @ git+{git}@{package.get('revision') or source['resolved_reference']}"
    path = package.get("path") or (source.get("url") if kind in ("directory", "file") else None)
    if path:
        return _folder(path)
    url = package.get("url") or (source.get("url") if kind == "url" else None)
    return f"{package['name']} @ {url}" if url else None


def _pipfile(document: Mapping[str, Any], target: Target, groups: Collection[str]) -> ForeignLock:
    version = document["_meta"].get("requires", {}).get("python_version")
    _require_python([f"=={version}.*" if version else None], target)
    pins, projects = [], []
    for section in ("default", *sorted(groups)):
        for name, entry in document.get(section, {}).items():
            if not _applies(entry.get("markers"), target):
                continue
            if "version" in entry:
                pins.append(
                    ForeignPin(name, entry["version"].removeprefix("=="), tuple(entry.get("hashes", ())))
                )
            else:
                projects.append(_of_pipfile(name, entry))
    return ForeignLock(tuple(pins), tuple(projects))


def _of_pipfile(name: str, entry: Mapping[str, Any]) -> str:
    if "git" in entry:
        return f"{name} @ git+{entry['git']}@{entry['ref']}"
    return f"{name} @ {entry['file']}" if "file" in entry else _folder(entry["path"])


_READERS: Mapping[str, Callable[[Mapping[str, Any], Target, frozenset[str]], ForeignLock]] = {
    "poetry.lock": _poetry,
    "pdm.lock": _pdm,
    "Pipfile.lock": _pipfile,
}
