"""A project as a release: what stands in the registry's place for it."""

from __future__ import annotations

from dataclasses import dataclass

from crosswheel.registry.release_files import ReleaseFile
from crosswheel.uv import ReleaseMetadata

_ORIGINS = ("the project ", "the archive ", "git ")


def is_of_project(source: str) -> bool:
    """Tell from what a proof says of a wheel's source whether it is of a project, of which no registry is asked."""
    return source.startswith(_ORIGINS)


@dataclass(frozen=True)
class LocalRelease:
    """A project that is built from the user's own source, and never looked for on a registry.

    Attributes:
        metadata: what it says of itself: name, version and requirements.
        file: its source as an archive, named by its hash; it lies in the cache.
        origin: what it is, for people and for proofs, without any path of this machine.
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
        """The requirement that this very release satisfies."""
        return f"{self.name}=={self.version}"
