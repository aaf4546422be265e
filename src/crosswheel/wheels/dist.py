"""The tree of wheels: ``dist/<name>/<version>/``, and the only module that knows where in it a wheel lies.

A release's folder is the one that its recipe was told (:meth:`PackageBuild.build_package`); of a package without a
root, its normalised name and version. Wheels are found again however these are spelled (PEP 503, PEP 440).

A wheel lies in its release's folder, with a proof beside it for each target that it was proven on. Where its file name
is taken there by other bytes, proven on another target, it lies one deeper, in a folder called as its target.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from crosswheel.errors import IntegrityError
from crosswheel.files import explained_storage_errors, place_copy, sha256_of
from crosswheel.versions import same_version
from crosswheel.wheels.proof import Proof
from crosswheel.wheels.provenance import path_beside


@dataclass(frozen=True)
class Dist:
    """A tree of wheels."""

    root: Path

    def folder(self, name: str, version: str) -> Path:
        """Return the folder that a release's wheels are put into."""
        return self.root / name / version

    def wheels(self, name: str, version: str) -> list[Path]:
        """Return all wheels of a release, of every target."""
        return [wheel for folder in self._folders(name, version) for wheel in _wheels_in(folder)]

    def proven(self, name: str, version: str, target: str) -> list[tuple[Path, Proof]]:
        """Return the wheels of a release that have a proof for a target, with that proof."""
        proofs = [(wheel, Proof.read_beside(wheel, target)) for wheel in self.wheels(name, version)]
        return [(wheel, proof) for wheel, proof in proofs if proof]

    def put(self, wheel: Path, proof: Proof, folder: Path) -> Path:
        """Put a proven wheel into its release's folder; what the same target had of this release before goes.

        Nothing that was proven on another target is replaced.

        Returns:
            Where it lies.

        Raises:
            StorageError: it cannot be written.
        """
        with explained_storage_errors(folder):
            placed = _path_for(proof, folder)
            previous = Proof.read_beside(placed, proof.target)
            if previous != proof or not placed.is_file() or sha256_of(placed) != proof.sha256:
                Proof.remove_beside(placed, proof.target)  # it is of other bytes, from here on
                place_copy(wheel, placed)
                _require_bytes(placed, proof)
                proof.write_beside(placed)
            name, version = proof.wheel.split("-")[:2]
            for sibling in self.wheels(name, version):
                if sibling != placed:
                    _join(sibling, placed, proof)
            return placed

    def _folders(self, name: str, version: str) -> Iterator[Path]:
        normalized = canonicalize_name(name)
        # There may be thousands: what has another first letter is told apart at once.
        for project in _names_in(self.root, lambda name: name[0].lower() == normalized[0]):
            if canonicalize_name(project) == normalized:
                for release in _names_in(self.root / project):
                    if same_version(release, version):
                        yield self.root / project / release


def _names_in(folder: Path, is_candidate: Callable[[str], bool] = bool) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if is_candidate(entry.name))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _path_for(proof: Proof, folder: Path) -> Path:
    """Return where a proven wheel belongs in the folder of its release."""
    usual = folder / proof.wheel
    foreign = [path for path in Proof.paths_beside(usual) if path != proof.path_beside(usual)]
    agree = all(known and known.sha256 == proof.sha256 for known in map(Proof.read, foreign))
    return usual if agree else folder / proof.target / proof.wheel


def _require_bytes(placed: Path, proof: Proof) -> None:
    """Raise :class:`IntegrityError`, and leave nothing, if a wheel is not to the byte the one that was proven."""
    if sha256_of(placed) != proof.sha256:
        placed.unlink()
        raise IntegrityError(
            f"{proof.wheel} in the cache was changed after it was proven",
            hint="find out what writes into the cache, and run the same command again: it is made anew.",
        )


def _join(sibling: Path, placed: Path, proof: Proof) -> None:
    """Remove of another wheel what a proven one takes the place of: its own target's proof, and those of its bytes."""
    proofs = {path: Proof.read(path) for path in Proof.paths_beside(sibling)}
    for path, theirs in proofs.items():
        if (
            theirs
            and theirs.target != proof.target
            and (theirs.wheel, theirs.sha256) == (proof.wheel, proof.sha256)
        ):
            theirs.write_beside(placed)
            path.unlink()
            provenance = path_beside(sibling, theirs.target)
            if provenance.is_file():
                provenance.replace(path_beside(placed, theirs.target))
    # What the same target had was made before, under other circumstances.
    if proofs and Proof.remove_beside(sibling, proof.target):
        sibling.unlink()
        _remove_empty(sibling.parent)


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):  # something else is in it
        folder.rmdir()


def _wheels_in(folder: Path) -> list[Path]:
    """Return the wheels in a release's folder: those in it before those of single targets."""
    return [*sorted(folder.glob("*.whl")), *sorted(folder.glob("*/*.whl"))]
