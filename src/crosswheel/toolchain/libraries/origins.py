"""Where a C library in the cache came from: what an SBOM says of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ORIGINS = "origins.json"
"""The file in a library's folder."""


@dataclass(frozen=True)
class Origin:
    """What a library was made of.

    Attributes:
        source: Debian's name of the source package, where Debian has one.
        version: that package's version; the authors' own, where it was built from what they released.
        sha256: of the file that was fetched.
        package: the binary package that was fetched, where it was one.
        as_released: it was built from the authors' archive, without what Debian changes in it.
    """

    source: str | None
    version: str
    sha256: str
    package: str | None = None
    as_released: bool = False


def write_origins(folder: Path, origins: Sequence[Origin]) -> None:
    """Write a library's origins into its folder."""
    (folder / ORIGINS).write_text(json.dumps([asdict(origin) for origin in origins], indent=1) + "\n")


def read_origins(folder: Path) -> list[Origin]:
    """Read a library's origins; none, where it has no such file."""
    file = folder / ORIGINS
    return [Origin(**stated) for stated in json.loads(file.read_text())] if file.is_file() else []
