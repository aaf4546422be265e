"""Read the attestations of a wheel by a public CI (PEP 740): ``<wheel>.provenance``, as an index serves it.

Reading needs no library of sigstore's, and verifies no signature: readers do that, with the trust root of their choice.
What is read here is which bytes the attestations are about, so that no index links one that is about others.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, ValidationError

from crosswheel.errors import IntegrityError
from crosswheel.wheels.layout import ATTESTATIONS_SUFFIX


class _Published(BaseModel):
    """A part of what the standard defines; a later version may have further keys."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class _Envelope(_Published):
    statement: Base64Bytes
    signature: Base64Bytes


class _VerificationMaterial(_Published):
    certificate: Base64Bytes
    transparency_entries: Annotated[Sequence[dict[str, Any]], Field(min_length=1)]


class _Attestation(_Published):
    version: Literal[1]
    verification_material: _VerificationMaterial
    envelope: _Envelope


class _Publisher(_Published):
    kind: str


class _Bundle(_Published):
    publisher: _Publisher
    attestations: Annotated[Sequence[_Attestation], Field(min_length=1)]


class _Provenance(_Published):
    version: Literal[1]
    attestation_bundles: Annotated[Sequence[_Bundle], Field(min_length=1)]


class _Digest(_Published):
    sha256: str


class _Subject(_Published):
    name: str
    digest: _Digest


class _Statement(_Published):
    subject: tuple[_Subject]


def path_beside(wheel: Path) -> Path:
    """Return the path of a wheel's attestations."""
    return wheel.with_name(wheel.name + ATTESTATIONS_SUFFIX)


def fault_of(data: bytes, filename: str, sha256: str) -> str | None:
    """Return why attestations are not of a wheel, or ``None`` if all of them are.

    Args:
        data: the content of ``<wheel>.provenance``.
        filename: the wheel's file name.
        sha256: the hash of its bytes, in hexadecimal.
    """
    try:
        provenance = _Provenance.model_validate_json(data)
        attestations = [item for bundle in provenance.attestation_bundles for item in bundle.attestations]
        statements = [_Statement.model_validate(json.loads(item.envelope.statement)) for item in attestations]
    except ValidationError as error:
        return f"it is not of the form of PEP 740: {error.errors()[0]['msg']}"
    except ValueError:
        return "it is not of the form of PEP 740: a statement in it is no JSON"
    for (subject,) in (statement.subject for statement in statements):
        if subject.name != filename:
            return f"it is about a file of another name, {subject.name[:200]!r}"
        if subject.digest.sha256 != sha256:
            return "it is about other bytes"
    return None


def require_of(path: Path, filename: str, sha256: str) -> None:
    """Raise :class:`IntegrityError` if the attestations in a file are not of a wheel."""
    fault = fault_of(path.read_bytes(), filename, sha256)
    if fault:
        raise IntegrityError(
            f"{path} does not attest the wheel beside it: {fault}",
            hint="remove it, or make it anew with `crosswheel attest`; the index is as it was.",
        )


def has_beside(wheel: Path, sha256: str) -> bool:
    """Return whether a wheel of these bytes is attested."""
    path = path_beside(wheel)
    return path.is_file() and fault_of(path.read_bytes(), wheel.name, sha256) is None
