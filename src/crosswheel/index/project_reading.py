"""The wheels of projects, read only where something is new."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import combinations
from pathlib import Path
from typing import IO

from packaging.metadata import RawMetadata, parse_email
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from crosswheel.errors import IntegrityError
from crosswheel.files import sha256_of_stream
from crosswheel.index.entry import Entry, entry_of, left_out, newest, required_names
from crosswheel.index.overview import Overview, overview_of
from crosswheel.index.scan import ProjectWheels, ScannedWheel
from crosswheel.wheels.proof import Proof
from crosswheel.wheels.reading import WheelFile, read_metadata


class IndexedWheel(BaseModel):
    """A wheel that was read: its entry holds as long as its stamp does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # The state of a site calls it so.
    scanned: ScannedWheel = Field(
        validation_alias=AliasChoices("scanned", "found"), serialization_alias="found"
    )
    entry: Entry


_SMALL = 1 << 20  # bytes
_Wheels = TypeAdapter(tuple[IndexedWheel, ...])


@dataclass(frozen=True)
class KnownProject:
    """What is kept of a project whose wheels were read.

    Attributes:
        read_from: the digest of what was found of its wheels.
        overview: what pages that name projects say of it.
        requires: normalised names of the projects that its newest version depends on.
        logs: where the logs of its wheels' builds are, relative to the build tree, by the wheels' places.
        apart: the folder of each wheel that lies in one of its own, by its location in the tree.
        wheels: its wheels, as JSON without line breaks. Most are as they were before, and never looked at. Their
            places are said below the tree's root: what lies in a site is published.
    """

    read_from: str
    overview: Overview
    requires: tuple[str, ...]
    logs: Mapping[str, str]
    apart: Mapping[str, str]
    wheels: bytes

    def indexed(self) -> tuple[IndexedWheel, ...]:
        """Return its wheels, the oldest version first."""
        return _Wheels.validate_json(self.wheels)


@dataclass(frozen=True)
class ReadProject:
    """A project as it was read.

    Attributes:
        wheels: its wheels, the oldest version first; one for each place.
        newest: the entry that :func:`crosswheel.index.entry.newest` chooses.
        described: what METADATA of that wheel says.
        texts: METADATA of the wheels that were read now, by their locations in the tree.
        proofs: the proofs of these, by their file names, by location of the wheel.
        dist: the root of the tree that they lie in.
    """

    wheels: tuple[IndexedWheel, ...]
    newest: Entry
    described: RawMetadata
    texts: Mapping[str, bytes]
    proofs: Mapping[str, Mapping[str, Proof]]
    dist: Path

    def kept(self, read_from: str) -> KnownProject:
        """Return what is kept of it."""
        entries = [wheel.entry for wheel in self.wheels]
        return KnownProject(
            read_from,
            overview_of(entries),
            required_names(self.described),
            {entry.path: entry.log for entry in entries if entry.log is not None},
            {wheel.scanned.location: wheel.entry.apart for wheel in self.wheels if wheel.entry.apart},
            _Wheels.dump_json(self.wheels, by_alias=True),
        )

    def proofs_of(self, wheel: IndexedWheel) -> Mapping[str, Proof]:
        """Return the proofs of a wheel by their file names, as they were read or by reading them now."""
        known = self.proofs.get(wheel.scanned.location)
        return read_proofs(wheel.scanned, self.dist, wheel.entry.sha256) if known is None else known


def read_project(project: ProjectWheels, dist: Path, known: Iterable[IndexedWheel] = ()) -> ReadProject:
    """Read the wheels of a project below ``dist`` that are new or changed since they were read ``known``.

    Raises:
        IntegrityError: a wheel is not sound, its proof is not a proof of it, or two wheels of the same name
            have different contents, and were not proven on different targets.
    """
    read_before = {wheel.scanned: wheel for wheel in known}
    wheels: dict[tuple[str, str], IndexedWheel] = {}
    texts: dict[str, bytes] = {}
    proofs: dict[str, Mapping[str, Proof]] = {}
    for item in project.scanned:
        wheel = read_before.get(item)
        if wheel is None:
            entry, texts[item.location], proofs[item.location] = read_found(item, dist)
            wheel = IndexedWheel(scanned=item, entry=entry)
        wheels.setdefault((wheel.entry.filename, wheel.entry.sha256), wheel)
    placed = _placed(list(wheels.values()), dist)
    ordered = tuple(sorted(placed, key=lambda wheel: (wheel.entry.order, wheel.entry.path)))
    chosen = newest(wheel.entry for wheel in ordered)
    source = next(wheel.scanned for wheel in ordered if wheel.entry is chosen)
    metadata = texts.get(source.location) or read_metadata(source.path(dist))
    return ReadProject(ordered, chosen, parse_email(metadata)[0], texts, proofs, dist)


def _placed(wheels: Sequence[IndexedWheel], dist: Path) -> list[IndexedWheel]:
    """Return wheels with the places that they have in the site: what shares its name with others lies apart."""
    shared = left_out(wheel.entry for wheel in wheels)
    for filename in shared:
        _require_different_targets([wheel for wheel in wheels if wheel.entry.filename == filename], dist)
    return [
        _in_place(wheel, wheel.entry.offered[0] if wheel.entry.filename in shared else None)
        for wheel in wheels
    ]


def _in_place(wheel: IndexedWheel, apart: str | None) -> IndexedWheel:
    if wheel.entry.apart == apart:
        return wheel
    return IndexedWheel(scanned=wheel.scanned, entry=wheel.entry.model_copy(update={"apart": apart}))


def _require_different_targets(wheels: Sequence[IndexedWheel], dist: Path) -> None:
    for first, second in combinations(wheels, 2):
        targets = set(first.entry.offered), set(second.entry.offered)
        if not all(targets) or targets[0] & targets[1]:
            raise IntegrityError(
                f"{first.scanned.path(dist)} and {second.scanned.path(dist)} have the same name and different contents",
                hint="remove the one that is wrong; the index is as it was.",
            )


def read_found(item: ScannedWheel, dist: Path) -> tuple[Entry, bytes, Mapping[str, Proof]]:
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
    facts = {
        "targets": tuple(
            sorted({proof.target for proof in proofs.values() if proof.emulator or proof.on_machine})
        ),
        "offered": tuple(sorted(proof.target for proof in proofs.values())),
        "ways": {proof.target: ways(proof) for proof in proofs.values()},
        "log": next((proof.log for proof in proofs.values() if proof.log), None),
        "yanked": read_reason(item, dist),
    }
    return entry.model_copy(update=facts), metadata, proofs


def ways(proof: Proof) -> tuple[str, ...]:
    """Return how a wheel was proven, by the words of :class:`Entry`."""
    emulated = ("userland" if proof.userland else "emulated",) if proof.emulator else ()
    return (*emulated, *(("machine",) if proof.on_machine else ())) or ("not run",)


def read_reason(item: ScannedWheel, dist: Path) -> str | None:
    """Return why a wheel is yanked, or ``None`` if it is not; what is not UTF-8 is shown as such."""
    if item.yanked_by is None:
        return None
    return item.sibling(dist, item.yanked_by).read_text(encoding="utf-8", errors="replace").strip()


def read_proofs(item: ScannedWheel, dist: Path, sha256: str) -> dict[str, Proof]:
    """Read a wheel's proofs, by their file names.

    Raises:
        IntegrityError: one is no proof, or was made of other bytes.
    """
    return {name: read_proof(item.sibling(dist, name), item.filename, sha256) for name in item.proof_names}


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
