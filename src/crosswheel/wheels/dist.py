"""Finds and places wheels in ``dist/<name>/<version>/``; no other module knows where in that tree a wheel lies.

The folder of a root's release is the one that its recipe was told (:meth:`PackageBuild.build_package`); other releases
have a folder of their normalised name and version. A look-up accepts every spelling (PEP 503, PEP 440).

A wheel lies in its release's folder, with a proof beside it for each target that it was proven on. If that folder has
another wheel of the same file name, proven on another target, the wheel lies in a subfolder named after its target.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.utils import canonicalize_name

from crosswheel.errors import IntegrityError
from crosswheel.files import explained_storage_errors, place_copy, sha256_of
from crosswheel.versions import same_version
from crosswheel.wheels import attestations
from crosswheel.wheels.proof import Proof
from crosswheel.wheels.provenance import path_beside


@dataclass(frozen=True)
class Dist:
    """A tree of wheels, usually ``dist/``.

    ``_spellings`` maps normalised names of projects to those of their folders, if they were listed.
    """

    root: Path
    _spellings: Mapping[str, Sequence[str]] | None = None

    def listed(self) -> Dist:
        """Return the same tree for many look-ups: its projects are listed once, and those that come later not seen."""
        spellings: dict[str, list[str]] = {}
        for name in _names_in(self.root):
            spellings.setdefault(canonicalize_name(name), []).append(name)
        return replace(self, _spellings=spellings)

    def folder(self, name: str, version: str) -> Path:
        """Return the folder for a release's wheels."""
        return self.root / name / version

    def wheels(self, name: str, version: str) -> list[Path]:
        """Return all wheels of a release, for every target."""
        return [wheel for folder in self._folders(name, version) for wheel in _wheels_in(folder)]

    def proven(self, name: str, version: str, target: str) -> list[tuple[Path, Proof]]:
        """Return the wheels of a release that have a proof for a target, with that proof."""
        proofs = [(wheel, Proof.read_beside(wheel, target)) for wheel in self.wheels(name, version)]
        return [(wheel, proof) for wheel, proof in proofs if proof]

    def put(self, wheel: Path, proof: Proof, folder: Path) -> Path:
        """Put a proven wheel into its release's folder, and remove the same target's earlier wheel of the release.

        Wheels that were proven on another target stay.

        Returns:
            The wheel's path.

        Raises:
            StorageError: the wheel cannot be written.
            IntegrityError: the wheel is not the one that was proven.
        """
        with explained_storage_errors(folder):
            placed = _path_for(proof, folder)
            previous = Proof.read_beside(placed, proof.target)
            if previous != proof or not placed.is_file() or sha256_of(placed) != proof.sha256:
                # The next line replaces the bytes that these are for.
                Proof.remove_beside(placed, proof.target)
                if not attestations.has_beside(placed, proof.sha256):
                    attestations.path_beside(placed).unlink(missing_ok=True)
                place_copy(wheel, placed)
                _require_bytes(placed, proof)
                proof.write_beside(placed)
            name, version = proof.wheel.split("-")[:2]
            for sibling in self.wheels(name, version):
                if sibling != placed:
                    _join(sibling, placed, proof)
            return placed

    def _folders(self, name: str, version: str) -> Iterator[Path]:
        for project in self._spelled(canonicalize_name(name)):
            for release in _names_in(self.root / project):
                if same_version(release, version):
                    yield self.root / project / release

    def _spelled(self, normalized: str) -> Sequence[str]:
        """Return the names of a project's folders."""
        if self._spellings is not None:
            return self._spellings.get(normalized, ())
        # There may be thousands: what has another first letter is told apart at once.
        candidates = _names_in(self.root, lambda name: name[0].lower() == normalized[0])
        return [project for project in candidates if canonicalize_name(project) == normalized]


def _names_in(folder: Path, is_candidate: Callable[[str], bool] = bool) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if is_candidate(entry.name))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _path_for(proof: Proof, folder: Path) -> Path:
    """Return the path for a proven wheel in its release's folder."""
    usual = folder / proof.wheel
    foreign = [path for path in Proof.paths_beside(usual) if path != proof.path_beside(usual)]
    agree = all(known and known.sha256 == proof.sha256 for known in map(Proof.read, foreign))
    return usual if agree else folder / proof.target / proof.wheel


def _require_bytes(placed: Path, proof: Proof) -> None:
    """Remove a wheel and raise :class:`IntegrityError` if its bytes are not those that were proven."""
    if sha256_of(placed) != proof.sha256:
        placed.unlink()
        raise IntegrityError(
            f"{proof.wheel} in the cache was changed after it was proven",
            hint="find out what writes into the cache, and run the same command again: it is made anew.",
        )


def _join(sibling: Path, placed: Path, proof: Proof) -> None:
    """Move the proofs of identical bytes from another wheel to a proven one, and remove its own target's old proof."""
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
    # This target's proof of the other wheel is older than the new one.
    if proofs and Proof.remove_beside(sibling, proof.target):
        sibling.unlink()
        attestations.path_beside(sibling).unlink(missing_ok=True)
        _remove_empty(sibling.parent)


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):  # the folder is not empty
        folder.rmdir()


def _wheels_in(folder: Path) -> list[Path]:
    """Return the wheels in a release's folder, then those in its targets' subfolders."""
    return [*sorted(folder.glob("*.whl")), *sorted(folder.glob("*/*.whl"))]
