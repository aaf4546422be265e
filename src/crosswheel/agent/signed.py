"""Opens signed envelopes (DSSE): nobody reads the statement in one before its signature is verified."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any

from crosswheel.agent.ed25519 import is_signed
from crosswheel.agent.manifest import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable

    # DSSE's JSON form: payload, payloadType, signatures.
    Envelope = dict[str, Any]

RELEASE = "application/vnd.crosswheel.release+json"
ROTATION = "application/vnd.crosswheel.rotation+json"
CHANNEL = "application/vnd.crosswheel.channel+json"
_MOST_SIGNATURES = 16  # a robot needs a tenth of a second for each


def opened(envelope: Envelope, kind: str, keys: Iterable[str]) -> dict[str, Any]:
    """Return the statement in an envelope that one of the given keys has signed.

    Args:
        kind: the type of its payload; signatures cover the type, so that no statement passes for one of another type.
        keys: public keys, in hexadecimal.

    Raises:
        Refused: it is not an envelope of this type, or none of the keys has signed it.
    """
    try:
        payload, stated = _bytes(envelope["payload"]), envelope["payloadType"]
        signatures = [_bytes(signature["sig"]) for signature in envelope["signatures"][:_MOST_SIGNATURES]]
    except (KeyError, TypeError, ValueError) as error:
        raise Refused("signature", f"it is not signed as it should be: {error!r}") from None
    if stated != kind:
        raise Refused("signature", f"what is signed is {stated}, and not {kind}")
    message = encoded(kind, payload)
    publics = [_key(key) for key in keys]
    if not any(is_signed(public, message, signature) for signature in signatures for public in publics):
        raise Refused("signature", "none of its signatures is by a key that is trusted here")
    return unverified(envelope)


def unverified(envelope: Envelope) -> dict[str, Any]:
    """Return the statement in an envelope without verifying the signature; an empty statement if there is none."""
    try:
        statement = json.loads(_bytes(envelope["payload"]))
    except (KeyError, TypeError, ValueError):
        return {}
    return statement if isinstance(statement, dict) else {}


def encoded(kind: str, payload: bytes) -> bytes:
    """Return the bytes that are signed for a payload: its pre-authentication encoding (DSSE)."""
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind.encode(), len(payload), payload)


def _key(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""  # no signature is valid for it


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None
