"""Parse requests for projects outside any registry: a folder, a commit of git or an archive."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from pydantic import ValidationError

from crosswheel.errors import UsageError
from crosswheel.recipes.model import GitSource

_FOLDER = re.compile(
    r"^(?P<path>(?:\.{1,2}|~|/|\./.*?|\.\./.*?|~/.*?|/.*?|[\w.-]+/.*?))(?P<extras>\[[\w\s.,-]*\])?$"
)
_GIT_SCHEMES = ("git+https", "git+ssh", "git+http", "git+file", "git+git")
_SHA256 = re.compile(r"sha256=([0-9a-fA-F]{64})")


@dataclass(frozen=True)
class Archive:
    """An sdist or a wheel at a URL; ``sha256`` is its expected hash, if stated."""

    url: str
    sha256: str | None = None


Location = Path | GitSource | Archive
"""The location of a project: its folder, a commit of a git repository, or an archive."""


@dataclass(frozen=True)
class ProjectRequest:
    """A request for a project.

    Attributes:
        name: the expected name, if stated.
        marker: the environment marker (PEP 508), with the semicolon before it; empty without one.
    """

    location: Location
    name: str | None = None
    extras: frozenset[str] = frozenset()
    marker: str = ""

    def satisfied_by(self, requirement: str) -> str:
        """Return the requirement of an exact release, with the requested extras and marker."""
        extras = f"[{','.join(sorted(self.extras))}]" if self.extras else ""
        name, _, version = requirement.partition("==")
        return f"{name}{extras}=={version}{self.marker}"


def project_request(text: str, base: Path) -> ProjectRequest | None:
    """Parse ``./mylib[vision]``, ``name @ git+https://…@tag`` and the like; return ``None`` for a registry's package.

    Args:
        base: the folder to which relative paths refer.

    Raises:
        UsageError: nothing can be built from that URL.
    """
    text = text.strip()
    folder = _FOLDER.match(text)
    if folder:
        path = Path(folder["path"]).expanduser()
        return ProjectRequest((base / path).resolve(), extras=_extras(folder["extras"]))
    if re.match(r"^[a-z+]+:(?://)?\S", text):
        return ProjectRequest(_location(text, text))
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return None  # the resolver reports what is wrong with it
    if requirement.url is None:
        return None
    marker = f" ; {requirement.marker}" if requirement.marker else ""
    return ProjectRequest(
        _location(requirement.url, text),
        canonicalize_name(requirement.name),
        frozenset(map(canonicalize_name, requirement.extras)),
        marker,
    )


def is_project(text: str) -> bool:
    """Return whether a requirement names a location, and not a registry's package."""
    return project_request(text, Path.cwd()) is not None


def _extras(text: str | None) -> frozenset[str]:
    return frozenset(
        canonicalize_name(extra.strip()) for extra in (text or "[]")[1:-1].split(",") if extra.strip()
    )


def _location(url: str, text: str) -> Location:
    parts = urlsplit(url)
    if parts.password is not None or (parts.username and parts.scheme != "git+ssh"):
        raise UsageError(
            f"the address on {parts.hostname} has a name or a password in it, which would be in logs",
            hint="leave it out; git asks your credential helper, and downloads use ~/.netrc.",
        )
    if parts.scheme in _GIT_SCHEMES:
        return _git(url, text)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        path = Path(unquote(parts.path))
        return (
            path
            if not path.suffix or path.is_dir()
            else Archive(url.partition("#")[0], _stated_hash(parts.fragment))
        )
    if parts.scheme in ("http", "https"):
        return Archive(urlunsplit(parts._replace(fragment="")), _stated_hash(parts.fragment))
    raise UsageError(
        f"{text!r} is at an address that nothing can be had from",
        hint="write a folder such as ./mylib, git+https://HOST/REPOSITORY@TAG, or the https address of an sdist.",
    )


def _stated_hash(fragment: str) -> str | None:
    match = _SHA256.search(fragment)
    return match[1].lower() if match else None


def _git(url: str, text: str) -> GitSource:
    parts = urlsplit(url.removeprefix("git+"))
    path, _, ref = parts.path.partition("@")
    fragment = dict(item.partition("=")[::2] for item in parts.fragment.split("&"))
    try:
        return GitSource(
            url=urlunsplit(parts._replace(path=path, fragment="")),
            ref=ref or "HEAD",
            path=fragment.get("subdirectory") or None,
        )
    except ValidationError as error:
        raise UsageError(
            f"{text!r} names no commit of git", hint="write git+https://HOST/REPOSITORY@TAG."
        ) from error
