"""One wheel as the index knows it: what pages say of it, and the files that lie beside it."""

from __future__ import annotations

import datetime
import hashlib
import zipfile
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Optional

from packaging.metadata import RawMetadata, parse_email
from packaging.requirements import InvalidRequirement, Requirement
from packaging.tags import Tag
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version
from pydantic import BaseModel, ConfigDict

from crosswheel.check.wheel import WheelFile
from crosswheel.files import sha256_of

METADATA_SUFFIX = ".metadata"
"""The wheel's METADATA, for clients that want no more of it (PEP 658)."""
PROOF_SUFFIX = ".proof.json"
"""A proof; the proof for a further target has its name before this: ``<wheel>.<target>.proof.json``."""
YANKED_SUFFIX = ".yanked"
"""Its presence yanks the wheel (PEP 592); what is in it is the reason."""
LOG_SUFFIX = ".log.txt"
"""The log of the wheel's build."""


class Entry(BaseModel):
    """What the index says about one wheel.

    Attributes:
        filename: the wheel's file name.
        project: the project's name as its metadata spells it.
        name: the project's normalised name (PEP 503).
        version: the version, normalised (PEP 440).
        sha256: hash of the wheel's bytes, in hexadecimal.
        size: in bytes.
        uploaded: when the wheel came into the index (PEP 700), UTC.
        metadata_sha256: hash of the wheel's METADATA.
        requires_python: as in the metadata.
        requires: normalised names of the projects that it depends on, in any environment.
        summary: the project's one-line description.
        targets: names of the targets on which it was proven to load and run.
        log: where the log of its build is, relative to the build tree.
        yanked: why the wheel should not be used any more; an empty reason counts (PEP 592).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ignored_types=(cached_property,))

    filename: str
    project: str
    name: str
    version: str
    sha256: str
    size: int
    uploaded: datetime.datetime
    metadata_sha256: str
    requires_python: Optional[str] = None
    requires: tuple[str, ...] = ()
    summary: str = ""
    targets: tuple[str, ...] = ()
    log: Optional[str] = None
    yanked: Optional[str] = None

    @property
    def tags(self) -> frozenset[Tag]:
        """The tags of its file name (PEP 425)."""
        return parse_wheel_filename(self.filename)[3]

    @cached_property
    def order(self) -> tuple[Version, str]:
        """Sorts the wheels of a project, the oldest version first."""
        return Version(self.version), self.filename


def read_metadata(path: Path) -> bytes:
    """Return the METADATA of a wheel that was found to be sound."""
    with zipfile.ZipFile(path) as archive:
        return archive.read(next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA")))


def read_entry(path: Path) -> Entry:
    """Read a wheel from its first byte to its last; return its entry.

    Raises:
        IntegrityError: it is not a sound wheel, or not the one that its file name promises.
    """
    wheel = WheelFile.open(path)
    metadata = read_metadata(path)
    raw = parse_email(metadata)[0]
    status = path.stat()
    return Entry(
        filename=path.name,
        project=raw["name"],
        name=wheel.name,
        version=str(wheel.version),
        sha256=sha256_of(path),
        size=status.st_size,
        uploaded=datetime.datetime.fromtimestamp(int(status.st_mtime), datetime.timezone.utc),
        metadata_sha256=hashlib.sha256(metadata).hexdigest(),
        requires_python=raw.get("requires_python"),
        requires=tuple(sorted({canonicalize_name(r.name) for r in requirements(raw)})),
        summary=raw.get("summary", ""),
    )


def requirements(raw: RawMetadata) -> Iterable[Requirement]:
    """Give the Requires-Dist of a wheel's metadata, without those that old tools wrote wrong."""
    for line in raw.get("requires_dist", ()):
        try:
            yield Requirement(line)
        except InvalidRequirement:
            continue
