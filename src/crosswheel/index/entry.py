"""One wheel as the index knows it: what pages say of it, and the files that lie beside it."""

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
# All that is said of a wheel of its own; to parse all of METADATA would take longer than to read the wheel.
_FIELD = re.compile(
    rb"^(name|summary|requires-python):[ \t]*([^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)", re.IGNORECASE | re.MULTILINE
)
_FOLD = re.compile(rb"\r?\n[ \t]+")


class Entry(BaseModel):
    """What the index says about one wheel.

    What another version of crosswheel said in addition, in a channel that both publish to, is passed over.

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
        summary: the project's one-line description.
        targets: names of the targets on which it was proven to load and run.
        offered: names of the targets that have a proof of it, also those that say that nothing was run there.
        ways: by target, how it was proven there: ``emulated``, or in its ``userland``; on the ``machine`` itself; or
            ``not run``.
        apart: the folder in its project's that it lies in, where its name is taken there: it is called as a target.
        log: where the log of its build is, relative to the build tree.
        yanked: why the wheel should not be used any more; an empty reason counts (PEP 592).
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
    yanked: str | None = None

    @property
    def path(self) -> str:
        """Where it lies in its project's folder of ``simple/``."""
        return self.filename if self.apart is None else f"{self.apart}/{self.filename}"

    @cached_property
    def tags(self) -> frozenset[Tag]:
        """The tags of its file name (PEP 425)."""
        return parse_tag("-".join(self.filename[: -len(".whl")].split("-")[-3:]))

    @cached_property
    def order(self) -> tuple[Version, BuildTag, str]:
        """Sorts the wheels of a project, the oldest version first, and of one version the oldest build (PEP 427)."""
        return Version(self.version), _build_tag(self.filename), self.filename

    def is_of_release(self, entry: Entry) -> bool:
        """Whether it is of the release that another wheel is of, as it is or as a local version (PEP 440)."""
        return Version(self.order[0].public) == Version(entry.order[0].public)


def _build_tag(filename: str) -> BuildTag:
    # Most have none, and to parse all of a name takes long where there are ten thousand.
    return parse_wheel_filename(filename)[2] if filename.count("-") == 5 else ()


def entry_of(filename: str, size: int, changed: int, sha256: str, metadata: bytes) -> Entry:
    """Return the entry of a sound wheel, as far as the wheel itself tells it.

    Args:
        filename: its file name.
        size: in bytes.
        changed: when it was changed, in nanoseconds since the epoch.
        sha256: hash of its bytes, in hexadecimal.
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
    """Return METADATA without the long description that may follow after an empty line."""
    end = _EMPTY_LINE.search(metadata)
    return metadata[: end.start()] if end else metadata


def newest(entries: Iterable[Entry]) -> Entry:
    """Return the wheel of the newest version, preferring what is not yanked, no pre-release, and for everyone.

    A local version (PEP 440) is what one kind of robot gets of a version that others get as it is.
    """
    return max(
        entries,
        key=lambda e: (e.yanked is None, not e.order[0].is_prerelease, e.order[0].local is None, e.order),
    )


def newest_on(entries: Sequence[Entry]) -> dict[str, Entry]:
    """Return for each target on which one of these wheels was proven the newest that was."""
    targets = sorted({target for entry in entries for target in entry.targets})
    return {target: newest(entry for entry in entries if target in entry.targets) for target in targets}


def left_out(entries: Iterable[Entry]) -> frozenset[str]:
    """Return the file names that several wheels of a project have: which of them a robot got would be chance."""
    hashes: dict[str, str] = {}
    return frozenset(e.filename for e in entries if hashes.setdefault(e.filename, e.sha256) != e.sha256)


def requirements(raw: RawMetadata) -> Iterable[Requirement]:
    """Yield the Requires-Dist of a wheel's metadata, without those that old tools wrote wrong."""
    for line in raw.get("requires_dist", ()):
        try:
            yield Requirement(line)
        except InvalidRequirement:
            continue


def required_names(raw: RawMetadata) -> tuple[str, ...]:
    """Return the normalised names of the projects that a wheel depends on, in any environment."""
    return tuple(sorted({canonicalize_name(requirement.name) for requirement in requirements(raw)}))
