"""The wheels of projects, read only where something is new."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO

from packaging.metadata import RawMetadata, parse_email
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from crosswheel.errors import IntegrityError
from crosswheel.files import sha256_of_stream
from crosswheel.index.entry import Entry, entry_of, newest, required_names
from crosswheel.index.overview import Overview, overview_of
from crosswheel.index.scan import Found, Wheels
from crosswheel.wheels.proof import Proof
from crosswheel.wheels.reading import WheelFile, read_metadata


class IndexedWheel(BaseModel):
    """A wheel that was read: its entry holds as long as its stamp does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    found: Found
    entry: Entry


_SMALL = 1 << 20  # bytes
_Wheels = TypeAdapter(tuple[IndexedWheel, ...])


@dataclass(frozen=True)
class Project:
    """What is kept of a project whose wheels were read.

    Attributes:
        read_from: the digest of what was found of its wheels.
        overview: what pages that name projects say of it.
        requires: normalised names of the projects that its newest version depends on.
        logs: where the logs of its wheels' builds are, relative to the build tree, by file name of the wheel.
        wheels: its wheels, as JSON without line breaks. Most are as they were before, and never looked at. Their
            places are said below the tree's root: what lies in a site is published.
    """

    read_from: str
    overview: Overview
    requires: tuple[str, ...]
    logs: Mapping[str, str]
    wheels: bytes

    def indexed(self) -> tuple[IndexedWheel, ...]:
        """Return its wheels, the oldest version first."""
        return _Wheels.validate_json(self.wheels)


@dataclass(frozen=True)
class ReadProject:
    """A project as it was read.

    Attributes:
        wheels: its wheels, the oldest version first; one for each name.
        newest: the entry that :func:`crosswheel.index.entry.newest` chooses.
        described: what METADATA of that wheel says.
        texts: METADATA of the wheels that were read now, by file name.
        proofs: the proofs of these, by their file names, by file name of the wheel.
        dist: the root of the tree that they lie in.
    """

    wheels: tuple[IndexedWheel, ...]
    newest: Entry
    described: RawMetadata
    texts: Mapping[str, bytes]
    proofs: Mapping[str, Mapping[str, Proof]]
    dist: Path

    def kept(self, read_from: str) -> Project:
        """Return what is kept of it."""
        entries = [wheel.entry for wheel in self.wheels]
        logs = {entry.filename: entry.log for entry in entries if entry.log is not None}
        requires = required_names(self.described)
        return Project(read_from, overview_of(entries), requires, logs, _Wheels.dump_json(self.wheels))

    def proofs_of(self, wheel: IndexedWheel) -> Mapping[str, Proof]:
        """Return the proofs of a wheel by their file names, as they were read or by reading them now."""
        filename = wheel.entry.filename
        known = self.proofs.get(filename)
        return read_proofs(wheel.found, self.dist, wheel.entry.sha256) if known is None else known


def read_project(found: Wheels, dist: Path, before: Iterable[IndexedWheel] = ()) -> ReadProject:
    """Read the wheels of a project below ``dist`` that are new or changed since they were read ``before``.

    Raises:
        IntegrityError: a wheel is not sound, its proof is not a proof of it, or two wheels of the same name
            have different contents.
    """
    known = {wheel.found: wheel for wheel in before}
    wheels: dict[str, IndexedWheel] = {}
    texts: dict[str, bytes] = {}
    proofs: dict[str, Mapping[str, Proof]] = {}
    for item in found.found:
        wheel = known.get(item)
        if wheel is None:
            entry, texts[item.filename], proofs[item.filename] = read_found(item, dist)
            wheel = IndexedWheel(found=item, entry=entry)
        other = wheels.setdefault(wheel.entry.filename, wheel)
        if other.entry.sha256 != wheel.entry.sha256:
            raise IntegrityError(
                f"{other.found.path(dist)} and {item.path(dist)} have the same name and different contents",
                hint="remove the one that is wrong; the index is as it was.",
            )
    ordered = tuple(sorted(wheels.values(), key=lambda wheel: wheel.entry.order))
    chosen = wheels[newest(wheel.entry for wheel in ordered).filename]
    metadata = texts.get(chosen.entry.filename) or read_metadata(chosen.found.path(dist))
    return ReadProject(ordered, chosen.entry, parse_email(metadata)[0], texts, proofs, dist)


def read_found(item: Found, dist: Path) -> tuple[Entry, bytes, Mapping[str, Proof]]:
    """Read a wheel and what lies beside it; return its entry, its METADATA and its proofs.

    A wheel with a proof was read from its first byte to its last when it was proven, and need not be again as long
    as its hash is the one that the proof names; any other wheel is.

    Raises:
        IntegrityError: it is not sound, not what its file name says, or its proof is not a proof of it.
    """
    path = item.path(dist)
    with path.open("rb") as file:
        # Most wheels are small; in memory, to look around in one asks nothing more of the system.
        opened: IO[bytes] = BytesIO(file.read()) if item.size <= _SMALL else file
        sha256 = sha256_of_stream(opened)
        proofs = read_proofs(item, dist, sha256)
        try:
            if not proofs:
                WheelFile.open(path)
            metadata = read_metadata(path, opened)
        except IntegrityError as error:
            raise IntegrityError(
                f"{path}: {error.message}", hint=f"{error.hint} The index is as it was."
            ) from error
    entry = entry_of(item.filename, item.size, item.changed, sha256, metadata)
    said = {
        "targets": tuple(sorted({proof.target for proof in proofs.values() if proof.emulator})),
        "log": next((proof.log for proof in proofs.values() if proof.log), None),
        "yanked": read_reason(item, dist),
    }
    return entry.model_copy(update=said), metadata, proofs


def read_reason(item: Found, dist: Path) -> str | None:
    """Return why a wheel is yanked, or ``None`` if it is not; what is not UTF-8 is shown as such."""
    if item.yanked_by is None:
        return None
    return item.beside(dist, item.yanked_by).read_text(encoding="utf-8", errors="replace").strip()


def read_proofs(item: Found, dist: Path, sha256: str) -> dict[str, Proof]:
    """Read a wheel's proofs, by their file names.

    Raises:
        IntegrityError: one is no proof, or was made of other bytes.
    """
    return {name: read_proof(item.beside(dist, name), item.filename, sha256) for name in item.proof_names}


def read_proof(path: Path, filename: str, sha256: str) -> Proof:
    """Read a proof of a wheel.

    Raises:
        IntegrityError: it is no proof, or was made of other bytes.
    """
    hint = f"build the package again, or remove {filename} and what lies beside it; the index is as it was."
    try:
        proof = Proof.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise IntegrityError(f"{path} is not a proof: {error.errors()[0]['msg']}", hint=hint) from error
    if (proof.wheel, proof.sha256) != (filename, sha256):
        raise IntegrityError(f"{path} is the proof of other bytes than the wheel beside it", hint=hint)
    return proof
