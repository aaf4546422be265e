"""Reads and writes the provenance beside a wheel: an in-toto statement with SLSA provenance, signed or not.

``<wheel>.<target>.provenance.json`` is an envelope (DSSE) where a key signs, and the bare statement where none does.
docs/provenance.md explains the build types and their parameters.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from crosswheel.errors import IntegrityError
from crosswheel.files import update_bytes
from crosswheel.signing.envelope import open_signed, sign
from crosswheel.signing.keys import PublicKey, SigningKey
from crosswheel.wheels.layout import PROVENANCE_SUFFIX

Statement = Mapping[str, Any]

STATEMENT = "https://in-toto.io/Statement/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
PAYLOAD = "application/vnd.in-toto+json"
BUILT = "urn:crosswheel:built:v1"
TAKEN = "urn:crosswheel:taken:v1"


def path_beside(wheel: Path, target: str) -> Path:
    """Return the path of a wheel's provenance for a target."""
    return wheel.with_name(f"{wheel.name}.{target}{PROVENANCE_SUFFIX}")


def paths_beside(wheel: Path) -> list[Path]:
    """Return the paths of a wheel's provenances, one for each target."""
    return sorted(wheel.parent.glob(f"{wheel.name}.*{PROVENANCE_SUFFIX}"))


def statement(subjects: Mapping[str, str], kind: str, predicate: Mapping[str, object]) -> Statement:
    """Return an in-toto statement.

    Args:
        subjects: the SHA-256 of each file that the statement is about, by file name.
        kind: the URI of the predicate's type.
    """
    subject = [{"name": name, "digest": {"sha256": sha256}} for name, sha256 in subjects.items()]
    return {"_type": STATEMENT, "subject": subject, "predicateType": kind, "predicate": predicate}


def write(path: Path, said: Statement, key: SigningKey | None) -> None:
    """Write a statement, signed if there is a key; leave a file alone that already has the same content.

    Raises:
        StorageError: the file cannot be written.
    """
    value = sign(said, PAYLOAD, key) if key else said
    text = json.dumps(value, indent=1, sort_keys=True) + "\n"
    update_bytes(path, text.encode())


def read_unverified(path: Path) -> Statement | None:
    """Return a statement without verifying its signature, if it has one; ``None`` if it is missing or damaged."""
    try:
        value = json.loads(path.read_bytes())
        return value if "_type" in value else _checked(json.loads(base64.b64decode(value["payload"])))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_signed(path: Path, trusted: Iterable[PublicKey], sha256: str) -> Statement:
    """Return the provenance of a wheel, after verifying that a trusted key signed it.

    Args:
        sha256: the hash of the wheel.

    Raises:
        IntegrityError: it is missing, no trusted key has signed it, or it is of another wheel.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise IntegrityError(
            f"{path.name} is missing: nothing tells who made the wheel, and from what",
            hint="make it with `crosswheel build`, which signs it where there is a key (`crosswheel keys show`).",
        ) from error
    found = open_signed(data, PAYLOAD, trusted, str(path))
    require_subject(found, sha256, path)
    return found


def require_subject(said: Statement, sha256: str, path: Path) -> None:
    """Raise :class:`IntegrityError` if a statement is not the provenance of the wheel with this hash."""
    try:
        fits = sha256 in [subject["digest"]["sha256"] for subject in said["subject"]]
        fits &= said["predicateType"] == PROVENANCE
    except (KeyError, TypeError):
        fits = False
    if not fits:
        raise IntegrityError(
            f"{path} is not the provenance of the wheel that it lies beside",
            hint="one of them was replaced: remove both, and run `crosswheel build` again.",
        )


def _checked(value: object) -> Statement | None:
    return value if isinstance(value, dict) and "_type" in value else None
