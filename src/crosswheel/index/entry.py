"""Describe one wheel as the index knows it: the facts on its pages, and the files next to it."""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from packaging.metadata import RawMetadata
from packaging.requirements import InvalidRequirement, Requirement
from packaging.tags import Tag, parse_tag
from packaging.utils import BuildTag, canonicalize_name, parse_wheel_filename
from packaging.version import Version
from pydantic import BaseModel, ConfigDict, Field

_EMPTY_LINE = re.compile(rb"\r?\n\r?\n")
# The only headers that an entry needs; parsing all of METADATA would take longer than reading the wheel.
_FIELD = re.compile(
    rb"^(name|summary|requires-python):[ \t]*([^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)", re.IGNORECASE | re.MULTILINE
)
_FOLD = re.compile(rb"\r?\n[ \t]+")


class Entry(BaseModel):
    """What the index records about one wheel.

    Additional fields, which another version of crosswheel wrote into a shared channel, are ignored.

    Attributes:
        filename: the wheel's file name.
        project: the project's name as its metadata spells it.
        name: the project's normalised name (PEP 503).
        version: the version, normalised (PEP 440).
        sha256: the hash of the wheel's bytes, in hexadecimal.
        size: the size in bytes.
        uploaded: when the wheel was added to the index (PEP 700), UTC.
        metadata_sha256: the hash of the wheel's METADATA.
        requires_python: the value in the metadata.
        summary: the project's one-line description.
        targets: names of the targets on which it was proven to load and run.
        offered: names of the targets with a proof of the wheel, including proofs that nothing was run.
        ways: by target, how it was proven there: ``emulated``, or in its ``userland``; on the ``machine`` itself; or
            ``not run``.
        apart: the subfolder of the project's folder, named after a target, if the wheel's file name is taken there.
        log: the path of its build log, relative to the build tree.
        attested: whether attestations of a public CI lie next to it (PEP 740).
        yanked: the reason to avoid the wheel; an empty reason counts (PEP 592).
    """

    model_config = ConfigDict(frozen=True, extra="ignore", ignored_types=(cached_property,))

    filename: str
    project: str
    name: str
    version: str
    sha256: str
    size: int
    uploaded: datetime.datetime
    metadata_sha256: str
    requires_python: str | None = None
    summary: str = ""
    targets: tuple[str, ...] = ()
    offered: tuple[str, ...] = ()
    ways: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    apart: str | None = None
    log: str | None = None
    attested: bool = False
    yanked: str | None = None

    @property
    def path(self) -> str:
        """The wheel's path in its project's folder of ``simple/``."""
        return self.filename if self.apart is None else f"{self.apart}/{self.filename}"

    @cached_property
    def tags(self) -> frozenset[Tag]:
        """The tags of its file name (PEP 425)."""
        return parse_tag("-".join(self.filename[: -len(".whl")].split("-")[-3:]))

    @cached_property
    def order(self) -> tuple[Version, BuildTag, str]:
        """The sort key of a project's wheels: the oldest version first, then its oldest build (PEP 427)."""
        return Version(self.version), _build_tag(self.filename), self.filename

    def is_of_release(self, entry: Entry) -> bool:
        """Return whether both wheels belong to one release, local versions of it included (PEP 440)."""
        return Version(self.order[0].public) == Version(entry.order[0].public)


def _build_tag(filename: str) -> BuildTag:
    # Most wheels have no build tag, and parsing every part of ten thousand names takes long.
    return parse_wheel_filename(filename)[2] if filename.count("-") == 5 else ()


def entry_of(filename: str, size: int, changed: int, sha256: str, metadata: bytes) -> Entry:
    """Return the entry of a sound wheel, with the facts that the wheel itself holds.

    Args:
        filename: its file name.
        size: its size in bytes.
        changed: its modification time, in nanoseconds since the epoch.
        sha256: the hash of its bytes, in hexadecimal.
        metadata: its METADATA.
    """
    name, version = filename.split("-")[:2]
    fields = _FIELD.findall(_headers(metadata))
    headers = {key.lower(): _FOLD.sub(b" ", value).decode(errors="replace").strip() for key, value in fields}
    return Entry(
        filename=filename,
        project=headers.get(b"name", name),
        name=canonicalize_name(name),
        version=str(Version(version)),
        sha256=sha256,
        size=size,
        uploaded=datetime.datetime.fromtimestamp(changed // 10**9, datetime.timezone.utc),
        metadata_sha256=hashlib.sha256(metadata).hexdigest(),
        requires_python=headers.get(b"requires-python"),
        summary=headers.get(b"summary", ""),
    )


def _headers(metadata: bytes) -> bytes:
    """Return METADATA without the long description, which follows an empty line."""
    end = _EMPTY_LINE.search(metadata)
    return metadata[: end.start()] if end else metadata


def newest(entries: Iterable[Entry]) -> Entry:
    """Return the wheel of the newest version; prefer wheels not yanked, then final releases, then those for everyone.

    A local version (PEP 440) serves one kind of robot, while others get the plain version.
    """
    return max(
        entries,
        key=lambda e: (e.yanked is None, not e.order[0].is_prerelease, e.order[0].local is None, e.order),
    )


def newest_on(entries: Sequence[Entry]) -> dict[str, Entry]:
    """Return, for each target, the newest of these wheels that was proven on it."""
    targets = sorted({target for entry in entries for target in entry.targets})
    return {target: newest(entry for entry in entries if target in entry.targets) for target in targets}


def left_out(entries: Iterable[Entry]) -> frozenset[str]:
    """Return the file names that several wheels of a project share, because a robot would get one of them by chance."""
    hashes: dict[str, str] = {}
    return frozenset(e.filename for e in entries if hashes.setdefault(e.filename, e.sha256) != e.sha256)


def requirements(raw: RawMetadata) -> Iterable[Requirement]:
    """Yield the Requires-Dist of a wheel's metadata, without malformed ones that old tools wrote."""
    for line in raw.get("requires_dist", ()):
        try:
            yield Requirement(line)
        except InvalidRequirement:
            continue


def required_names(raw: RawMetadata) -> tuple[str, ...]:
    """Return the normalised names of the projects that a wheel depends on, in any environment."""
    return tuple(sorted({canonicalize_name(requirement.name) for requirement in requirements(raw)}))
