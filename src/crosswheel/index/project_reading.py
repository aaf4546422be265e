"""Read the wheels of projects; skip those that have not changed."""

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
from crosswheel.wheels.attestations import require_of as require_attested
from crosswheel.wheels.layout import ATTESTATIONS_SUFFIX
from crosswheel.wheels.proof import Proof
from crosswheel.wheels.reading import WheelFile, read_metadata


class IndexedWheel(BaseModel):
    """A wheel that was read; its entry is valid while its stamp stays the same."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # the key in a site's state
    scanned: ScannedWheel = Field(
        validation_alias=AliasChoices("scanned", "found"), serialization_alias="found"
    )
    entry: Entry


_SMALL = 1 << 20  # bytes
_Wheels = TypeAdapter(tuple[IndexedWheel, ...])


@dataclass(frozen=True)
class KnownProject:
    """What the state keeps about a project whose wheels were read.

    Attributes:
        read_from: the digest of the scanned wheels that it was read from.
        overview: its summary for pages that list projects.
        requires: normalised names of the projects that its newest version depends on.
        logs: maps a wheel's place to the path of its build log, relative to the build tree.
        apart: maps the location in the tree of each wheel with a subfolder of its own to that subfolder.
        wheels: its wheels, as JSON without line breaks, which is parsed only when needed. Their places are relative to
            the tree's root, because a site's files are published.
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
    """A project after reading.

    Attributes:
        wheels: its wheels, the oldest version first; one for each place.
        newest: the entry that :func:`crosswheel.index.entry.newest` chooses.
        described: the METADATA of that wheel.
        texts: the METADATA of the wheels read in this run, by their locations in the tree.
        proofs: their proofs, by location of the wheel and file name of the proof.
        dist: the root of the tree.
    """

    wheels: tuple[IndexedWheel, ...]
    newest: Entry
    described: RawMetadata
    texts: Mapping[str, bytes]
    proofs: Mapping[str, Mapping[str, Proof]]
    dist: Path

    def kept(self, read_from: str) -> KnownProject:
        """Return what the state keeps about the project."""
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
        """Return the proofs of a wheel by their file names; read them if they have not been read yet."""
        known = self.proofs.get(wheel.scanned.location)
        return read_proofs(wheel.scanned, self.dist, wheel.entry.sha256) if known is None else known


def read_project(project: ProjectWheels, dist: Path, known: Iterable[IndexedWheel] = ()) -> ReadProject:
    """Read the wheels of a project below ``dist`` that are new or changed compared with ``known``.

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
    """Return the wheels with their places in the site; wheels that share a file name get separate subfolders."""
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
    """Read a wheel and the files next to it; return its entry, its METADATA and its proofs.

    Proving a wheel read it completely, so a proven wheel is not read again while its hash is the one in the proof. Any
    other wheel is read completely.

    Raises:
        IntegrityError: it is not sound, does not match its file name, or its proof is not a proof of it.
    """
    path = item.path(dist)
    with path.open("rb") as file:
        # Most wheels are small; reading one into memory saves system calls for every seek.
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
        "attested": _is_attested(item, dist, sha256),
        "yanked": read_reason(item, dist),
    }
    return entry.model_copy(update=facts), metadata, proofs


def ways(proof: Proof) -> tuple[str, ...]:
    """Return how a wheel was proven, in the words of :class:`Entry`."""
    emulated = ("userland" if proof.userland else "emulated",) if proof.emulator else ()
    return (*emulated, *(("machine",) if proof.on_machine else ())) or ("not run",)


def _is_attested(item: ScannedWheel, dist: Path, sha256: str) -> bool:
    """Return whether a wheel has attestations; raise :class:`IntegrityError` if they are of something else."""
    names = [name for name in item.sidecar_names if name == item.filename + ATTESTATIONS_SUFFIX]
    for name in names:
        require_attested(item.sibling(dist, name), item.filename, sha256)
    return bool(names)


def read_reason(item: ScannedWheel, dist: Path) -> str | None:
    """Return why a wheel is yanked, ``None`` if it is not; invalid UTF-8 is escaped."""
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
