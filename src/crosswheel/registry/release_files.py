"""Defines what a registry tells of a release's files."""

from __future__ import annotations

import datetime
from typing import Annotated, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, Field


def without_password(url: str) -> str:
    """Return a URL without user name and password, fit to be stored or shown."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def with_password(url: str, registry: str | None) -> str:
    """Return a URL with the user name and password of a registry's URL, if both are on the same server."""
    configured, requested = urlsplit(registry or ""), urlsplit(url)
    login, _, server = configured.netloc.rpartition("@")
    if not login or (configured.scheme, server) != (requested.scheme, requested.netloc):
        return url
    return urlunsplit(requested._replace(netloc=f"{login}@{server}"))


class ReleaseFile(BaseModel):
    """A wheel or an sdist of a release.

    Attributes:
        sha256: its hash; files whose hash the registry does not state are left out.
        requires_python: the versions of Python that it is for (PEP 440 specifiers).
        yanked: whether its publisher withdrew it (PEP 592); ``yanked_reason`` is the reason, if stated.
        upload_time: the time of its upload, if stated (PEP 700).
        size: its size in bytes, if stated (PEP 700).
        has_metadata: whether its metadata can be fetched without the file (PEP 658).
        origin: a description of the user's own project that it was packed from; ``None`` for a registry's file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Without a slash, as the name becomes part of a path.
    filename: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][^/\\]*$")]
    url: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    kind: Literal["wheel", "sdist"]
    requires_python: str | None = None
    yanked: bool = False
    yanked_reason: str | None = None
    upload_time: datetime.datetime | None = None
    size: int | None = None
    has_metadata: bool = False
    origin: str | None = None


class ProjectRelease(BaseModel):
    """A registry's answer, as the cache stores it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: tuple[ReleaseFile, ...]
