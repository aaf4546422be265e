"""What lies in a tree of wheels: each wheel with the files beside it, read only where something is new."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from pydantic import BaseModel, ConfigDict, ValidationError

from crosswheel.check.proof import Proof
from crosswheel.errors import IntegrityError, UsageError
from crosswheel.index.entry import PROOF_SUFFIX, YANKED_SUFFIX, Entry, read_entry
from crosswheel.index.failures import SUFFIX as FAILURE_SUFFIX
from crosswheel.index.work import Workers

# Starting processes costs as much as reading this many wheels.
_FEW_WHEELS = 400

Stamp = tuple[tuple[str, int, int], ...]
"""Name, size and time of change (ns) of a wheel and of each file beside it: what changes when they do."""


class Known(BaseModel):
    """A wheel that was read before: its entry holds as long as its stamp does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stamp: Stamp
    entry: Entry


@dataclass(frozen=True)
class Found:
    """A wheel in the tree: where it is, and the stamp of it and the files that lie beside it."""

    location: str
    stamp: Stamp

    @property
    def path(self) -> Path:
        """Where the wheel is."""
        return Path(self.location)

    @property
    def proofs(self) -> list[Path]:
        """Its proofs, at most one for each target."""
        return [self.path.with_name(name) for name, _, _ in self.stamp if name.endswith(PROOF_SUFFIX)]

    @property
    def yanked(self) -> Optional[Path]:
        """The file that yanks it, if there is one."""
        path = self.path.with_name(self.path.name + YANKED_SUFFIX)
        return path if any(name == path.name for name, _, _ in self.stamp) else None


@dataclass(frozen=True)
class IndexedWheel:
    """A wheel that was read, with its entry."""

    found: Found
    entry: Entry


@dataclass(frozen=True)
class Tree:
    """What lies in a tree of wheels: the wheels, and the paths of what could not be built."""

    wheels: tuple[Found, ...]
    failures: tuple[Path, ...]


def scan(dist: Path) -> Tree:
    """Look through a folder, at any depth; hidden files and folders are passed over.

    Raises:
        UsageError: there is no such folder.
    """
    if not dist.is_dir():
        raise UsageError(f"there is no folder {dist}", hint="build packages first, or give --dist-tree-root.")
    wheels: list[Found] = []
    failures: list[Path] = []
    for file in _files(str(dist)):
        status = file.stat()
        stamp = (file.name, status.st_size, status.st_mtime_ns)
        if file.name.endswith(".whl"):
            wheels.append(Found(file.path, (stamp,)))
        elif file.name.endswith(FAILURE_SUFFIX):
            failures.append(Path(file.path))
        elif wheels and file.path.startswith(f"{wheels[-1].location}."):
            # Sorted by name, the files that belong to a wheel come right after it.
            wheels[-1] = Found(wheels[-1].location, (*wheels[-1].stamp, stamp))
    return Tree(tuple(wheels), tuple(failures))


def _files(folder: str) -> Iterator[os.DirEntry[str]]:
    """Give the files below a folder, each folder's own in the order of their names, then its folders'."""
    with os.scandir(folder) as items:
        visible = sorted((item for item in items if item.name[0] != "."), key=lambda item: item.name)
    yield from (item for item in visible if item.is_file())
    for item in visible:
        if item.is_dir(follow_symlinks=False):
            yield from _files(item.path)


def read_wheels(found: Sequence[Found], known: Mapping[str, Known], workers: Workers) -> list[IndexedWheel]:
    """Read the wheels that are new or changed since they became ``known`` (by path); one for each name.

    Raises:
        IntegrityError: a wheel is not sound, its proof is not a proof of it, or two wheels of the same name
            have different contents.
    """
    fresh = [item for item in found if _recall(item, known) is None]
    read = dict(zip(fresh, workers.map(read_found, fresh, few=_FEW_WHEELS)))
    wheels: dict[str, IndexedWheel] = {}
    for item in found:
        wheel = IndexedWheel(item, _recall(item, known) or read[item])
        other = wheels.setdefault(wheel.entry.filename, wheel)
        if other.entry.sha256 != wheel.entry.sha256:
            raise IntegrityError(
                f"{other.found.path} and {item.path} have the same name and different contents",
                hint="remove the one that is wrong; the index is as it was.",
            )
    return list(wheels.values())


def _recall(item: Found, known: Mapping[str, Known]) -> Optional[Entry]:
    before = known.get(item.location)
    return before.entry if before and before.stamp == item.stamp else None


def read_found(item: Found) -> Entry:
    """Read a wheel and what lies beside it; raises :class:`IntegrityError`."""
    try:
        entry = read_entry(item.path)
    except IntegrityError as error:
        raise IntegrityError(
            f"{item.path}: {error.message}", hint=f"{error.hint} The index is as it was."
        ) from error
    proofs = [read_proof(path, entry) for path in item.proofs]
    return entry.model_copy(
        update={
            "targets": tuple(sorted({proof.target for proof in proofs if proof.emulator})),
            "log": next((proof.log for proof in proofs if proof.log), None),
            "yanked": item.yanked.read_text().strip() if item.yanked else None,
        }
    )


def read_proof(path: Path, entry: Entry) -> Proof:
    """Read a wheel's proof; raises :class:`IntegrityError` if it is none, or was made of other bytes."""
    hint = "remove the proof, or build the package again; the index is as it was."
    try:
        proof = Proof.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise IntegrityError(f"{path} is not a proof: {error.errors()[0]['msg']}", hint=hint) from error
    if (proof.wheel, proof.sha256) != (entry.filename, entry.sha256):
        raise IntegrityError(f"{path} is the proof of other bytes than the wheel beside it", hint=hint)
    return proof
