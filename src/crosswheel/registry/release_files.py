"""What a registry says of a release's files."""

from __future__ import annotations

import datetime
from typing import Annotated, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, Field


def without_password(url: str) -> str:
    """Return an address without the user and password in it: what is kept or shown has none."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def with_password(url: str, registry: str | None) -> str:
    """Return an address with the user and password that a registry's address has, if it is on the same server."""
    configured, requested = urlsplit(registry or ""), urlsplit(url)
    login, _, server = configured.netloc.rpartition("@")
    if not login or (configured.scheme, server) != (requested.scheme, requested.netloc):
        return url
    return urlunsplit(requested._replace(netloc=f"{login}@{server}"))


class ReleaseFile(BaseModel):
    """A wheel or an sdist of a release.

    Attributes:
        sha256: of its bytes; files whose hash the registry does not tell are not offered.
        requires_python: the versions of Python it is for (PEP 440 specifiers).
        yanked: withdrawn by its publisher (PEP 592); ``yanked_reason`` is why, where that is told.
        upload_time: when it came to the registry, where that is told (PEP 700).
        size: in bytes, where that is told (PEP 700).
        has_metadata: its metadata can be had alone (PEP 658).
        origin: what it is, where it is of the user's own project and of no registry; it lies in the cache then.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    # A plain name: it becomes part of a path.
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
    """A registry's answer as it is cached."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: tuple[ReleaseFile, ...]
