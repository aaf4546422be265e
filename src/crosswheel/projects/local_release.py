"""Represent a project as a release, in place of a registry's."""

from __future__ import annotations

from dataclasses import dataclass

from crosswheel.registry.release_files import ReleaseFile
from crosswheel.uv import ReleaseMetadata

_ORIGINS = ("the project ", "the archive ", "git ")


def is_of_project(source: str) -> bool:
    """Return whether a wheel's source, as a proof states it, is a project, which no registry is asked for."""
    return source.startswith(_ORIGINS)


@dataclass(frozen=True)
class LocalRelease:
    """A release that is built from the user's own source, and never looked up on a registry.

    Attributes:
        metadata: its name, version and requirements.
        file: its source as an archive in the cache, named by its hash.
        origin: a description for people and proofs, without any path of this machine.
    """

    metadata: ReleaseMetadata
    file: ReleaseFile
    origin: str

    @property
    def name(self) -> str:
        """Its normalised name (PEP 503)."""
        return self.metadata.name

    @property
    def version(self) -> str:
        """Its version (PEP 440)."""
        return self.metadata.version

    @property
    def requirement(self) -> str:
        """The requirement that only this release satisfies."""
        return f"{self.name}=={self.version}"
