"""What is asked about: the parts of wheels, each by the name that advisories have for it."""

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
    """A name that advisories are filed under.

    Attributes:
        ecosystem: as OSV calls it, without a release: ``PyPI``, ``Debian``.
        name: the package's name there; of Debian, the source package's.
        release: of Debian, the number of its release.
    """

    ecosystem: str
    name: str
    release: str | None = None

    def matches(self, ecosystem: str) -> bool:
        """Return whether an ecosystem as an advisory spells it is this one: ``Debian:12``, or ``Debian`` for all."""
        base, _, release = ecosystem.partition(":")
        return base == self.ecosystem and (not release or not self.release or release == self.release)


@dataclass(frozen=True)
class AuditedPart:
    """A part, where it is, and the version that is asked about: ``way`` begins with what it is in, the wheel."""

    way: tuple[Part, ...]
    version: str

    @property
    def part(self) -> Part:
        """The part itself."""
        return self.way[-1]

    @property
    def title(self) -> str:
        """The part and what it is in, for people."""
        names = [f"{part.name} {part.version}" if part.version else part.name for part in reversed(self.way)]
        return " in ".join(names)


@dataclass(frozen=True)
class AuditedParts:
    """All that is asked about.

    Attributes:
        by_coordinates: the parts by the name that advisories are filed under.
        unnamed: those that no advisory known here could name: without a version or a package URL of a known kind.
    """

    by_coordinates: Mapping[Coordinates, tuple[AuditedPart, ...]]
    unnamed: tuple[AuditedPart, ...]

    @property
    def count(self) -> int:
        """How many parts are asked about."""
        return sum(map(len, self.by_coordinates.values()))


def subjects_of(roots: Iterable[Part]) -> AuditedParts:
    """Return what is asked about, of wheels with their parts: each part once for each that it is in."""
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
    """Return the name that advisories are filed under for a part, or ``None`` where there is none."""
    url = PackageURL.from_string(part.purl) if part.purl else None
    if url and url.type == "deb" and url.namespace == "debian":
        qualifiers = url.qualifiers if isinstance(url.qualifiers, dict) else {}
        release = _DEBIAN_RELEASES.get(qualifiers.get("distro", ""), _BUILT_FROM)
        return Coordinates("Debian", part.debian or url.name, release)
    if part.debian:
        return Coordinates("Debian", part.debian, _BUILT_FROM)
    if url and url.type == "pypi":
        return Coordinates("PyPI", canonicalize_name(url.name))
    if url and url.type == "cargo":
        return Coordinates(CRATES, url.name)
    return None
