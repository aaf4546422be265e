"""The wheels of projects, read only where something is new."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from crosswheel.check.proof import Proof
from crosswheel.check.wheel import WheelFile, read_metadata
from crosswheel.errors import IntegrityError
from crosswheel.files import sha256_of
from crosswheel.index.entry import Entry, entry_of, newest, required_names
from crosswheel.index.overview import Overview, overview_of
from crosswheel.index.scan import Found, Wheels


class IndexedWheel(BaseModel):
    """A wheel that was read: its entry holds as long as its stamp does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    found: Found
    entry: Entry


_Wheels = TypeAdapter(tuple[IndexedWheel, ...])


@dataclass(frozen=True)
class Project:
    """A project whose wheels were read.

    Attributes:
        read_from: the digest of what was found of its wheels.
        overview: what pages that name projects say of it.
        requires: normalised names of the projects that its newest version depends on.
        logs: where the logs of its wheels' builds are, relative to the build tree, by file name of the wheel.
        wheels: its wheels, as JSON without line breaks. Most are as they were before, and never looked at.
        texts: METADATA of the wheels that were read now, by file name.
    """

    read_from: str
    overview: Overview
    requires: tuple[str, ...]
    logs: Mapping[str, str]
    wheels: bytes
    texts: Mapping[str, bytes] = field(default_factory=dict)

    def indexed(self) -> tuple[IndexedWheel, ...]:
        """Return its wheels, the oldest version first."""
        return _Wheels.validate_json(self.wheels)


@dataclass(frozen=True)
class Reading:
    """What a project is read from: the wheels that lie there now, and those that were read before."""

    wheels: Wheels
    before: tuple[IndexedWheel, ...] = ()


def read_project(task: Reading) -> Project:
    """Read the wheels of a project that are new or changed since they were read ``before``; one for each name.

    Raises:
        IntegrityError: a wheel is not sound, its proof is not a proof of it, or two wheels of the same name
            have different contents.
    """
    before = {wheel.found: wheel for wheel in task.before}
    wheels: dict[str, IndexedWheel] = {}
    texts: dict[str, bytes] = {}
    for item in task.wheels.found:
        wheel = before.get(item)
        if wheel is None:
            entry, texts[item.filename] = read_found(item)
            wheel = IndexedWheel(found=item, entry=entry)
        other = wheels.setdefault(wheel.entry.filename, wheel)
        if other.entry.sha256 != wheel.entry.sha256:
            raise IntegrityError(
                f"{other.found.path} and {item.path} have the same name and different contents",
                hint="remove the one that is wrong; the index is as it was.",
            )
    ordered = sorted(wheels.values(), key=lambda wheel: wheel.entry.order)
    entries = [wheel.entry for wheel in ordered]
    chosen = wheels[newest(entries).filename]
    metadata = texts.get(chosen.entry.filename) or read_metadata(chosen.found.path)
    logs = {entry.filename: entry.log for entry in entries if entry.log is not None}
    data = _Wheels.dump_json(tuple(ordered))
    return Project(task.wheels.digest, overview_of(entries), required_names(metadata), logs, data, texts)


def read_found(item: Found) -> tuple[Entry, bytes]:
    """Read a wheel and what lies beside it; return its entry and its METADATA.

    A wheel with a proof was read from its first byte to its last when it was proven, and need not be again as long
    as its hash is the one that the proof names; any other wheel is.

    Raises:
        IntegrityError: it is not sound, not what its file name says, or its proof is not a proof of it.
    """
    path = item.path
    sha256 = sha256_of(path)
    proofs = [read_proof(proof, item.filename, sha256) for proof in item.proofs]
    try:
        if not proofs:
            WheelFile.open(path)
        metadata = read_metadata(path)
    except IntegrityError as error:
        raise IntegrityError(
            f"{path}: {error.message}", hint=f"{error.hint} The index is as it was."
        ) from error
    _, size, changed = item.stamp[0]
    entry = entry_of(item.filename, size, changed, sha256, metadata)
    said = {
        "targets": tuple(sorted({proof.target for proof in proofs if proof.emulator})),
        "log": next((proof.log for proof in proofs if proof.log), None),
        "yanked": item.yanked.read_text().strip() if item.yanked else None,
    }
    return entry.model_copy(update=said), metadata


def read_proof(path: Path, filename: str, sha256: str) -> Proof:
    """Read a wheel's proof; raises :class:`IntegrityError` if it is none, or was made of other bytes."""
    hint = "remove the proof, or build the package again; the index is as it was."
    try:
        proof = Proof.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise IntegrityError(f"{path} is not a proof: {error.errors()[0]['msg']}", hint=hint) from error
    if (proof.wheel, proof.sha256) != (filename, sha256):
        raise IntegrityError(f"{path} is the proof of other bytes than the wheel beside it", hint=hint)
    return proof
