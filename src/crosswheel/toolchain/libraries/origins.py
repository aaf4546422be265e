"""Record the origin of a C library in the cache, for SBOMs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from crosswheel.debian import BinaryPackage

ORIGINS = "origins.json"
"""The name of the file in a library's folder."""


@dataclass(frozen=True)
class Origin:
    """The origin of a library.

    Attributes:
        source: the name of Debian's source package, if Debian has one.
        version: that package's version; the authors' own version, if it was built from their release.
        sha256: the hash of the downloaded file.
        package: the downloaded binary package, if it was one.
        as_released: whether it was built from the authors' archive, without Debian's patches.
    """

    source: str | None
    version: str
    sha256: str
    package: str | None = None
    as_released: bool = False

    @classmethod
    def of_package(cls, package: BinaryPackage) -> Origin:
        """Return the origin of what was taken from one of Debian's packages."""
        return cls(package.source, package.source_version, package.sha256, package.name)


def write_origins(folder: Path, origins: Sequence[Origin]) -> None:
    """Write a library's origins into its folder."""
    (folder / ORIGINS).write_text(json.dumps([asdict(origin) for origin in origins], indent=1) + "\n")


def read_origins(folder: Path) -> list[Origin]:
    """Read a library's origins; empty if it has no such file."""
    file = folder / ORIGINS
    return [Origin(**stated) for stated in json.loads(file.read_text())] if file.is_file() else []
