"""List the audited parts of wheels, each under the name that advisories use for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from packageurl import PackageURL
from packaging.utils import canonicalize_name

from crosswheel.audit.version_ranges import CRATES
from crosswheel.provenance.parts import Part

_DEBIAN_RELEASES = {"bookworm": "12", "trixie": "13", "bullseye": "11"}
_BUILT_FROM = "12"  # the release whose sources crosswheel's libraries are built from


@dataclass(frozen=True, order=True)
class Coordinates:
    """A name under which advisories are filed.

    Attributes:
        ecosystem: OSV's name of it, without a release: ``PyPI``, ``Debian``.
        name: the package's name there; for Debian, the source package's.
        release: for Debian, the number of its release.
    """

    ecosystem: str
    name: str
    release: str | None = None

    def matches(self, ecosystem: str) -> bool:
        """Return whether an advisory's ecosystem is this one: ``Debian:12``, or ``Debian`` for all releases."""
        base, _, release = ecosystem.partition(":")
        return base == self.ecosystem and (not release or not self.release or release == self.release)


@dataclass(frozen=True)
class AuditedPart:
    """A part with its audited version; ``way`` is the path to it and begins with its wheel."""

    way: tuple[Part, ...]
    version: str

    @property
    def part(self) -> Part:
        """The part itself."""
        return self.way[-1]

    @property
    def title(self) -> str:
        """The part and its container, for messages."""
        names = [f"{part.name} {part.version}" if part.version else part.name for part in reversed(self.way)]
        return " in ".join(names)


@dataclass(frozen=True)
class AuditedParts:
    """All audited parts.

    Attributes:
        by_coordinates: the parts by the name under which advisories are filed.
        unnamed: parts that no known advisory can name, because they lack a version or a known type of package URL.
    """

    by_coordinates: Mapping[Coordinates, tuple[AuditedPart, ...]]
    unnamed: tuple[AuditedPart, ...]

    @property
    def count(self) -> int:
        """The number of audited parts."""
        return sum(map(len, self.by_coordinates.values()))


def subjects_of(roots: Iterable[Part]) -> AuditedParts:
    """Return the parts to audit of wheels; a part counts once for each container."""
    known: dict[Coordinates, dict[AuditedPart, None]] = {}
    unnamed: dict[AuditedPart, None] = {}
    for root in roots:
        for way in root.every():
            subject = AuditedPart(way, way[-1].version or "")
            coordinates = coordinates_of(way[-1])
            if coordinates and subject.version:
                known.setdefault(coordinates, {})[subject] = None
            elif way[-1].role != "root":
                unnamed[subject] = None
    return AuditedParts({key: tuple(value) for key, value in sorted(known.items())}, tuple(unnamed))


def coordinates_of(part: Part) -> Coordinates | None:
    """Return the name under which a part's advisories are filed; ``None`` if there is none."""
    url = PackageURL.from_string(part.purl) if part.purl else None
    qualifiers = url.qualifiers if url and isinstance(url.qualifiers, dict) else {}
    release = _DEBIAN_RELEASES.get(qualifiers.get("distro", ""), _BUILT_FROM)
    if url and url.type == "deb" and url.namespace == "debian":
        return Coordinates("Debian", part.debian or url.name, release)
    if part.debian:
        return Coordinates("Debian", part.debian, release)
    if url and url.type == "pypi":
        return Coordinates("PyPI", canonicalize_name(url.name))
    if url and url.type == "cargo":
        return Coordinates(CRATES, url.name)
    return None
