"""Make and open envelopes (DSSE): a statement, its type, and signatures over both."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from crosswheel.errors import IntegrityError
from crosswheel.signing.keys import PublicKey, SigningKey

# The library is imported late: it searches for the libraries of every cloud provider.
if TYPE_CHECKING:
    from securesystemslib.dsse import Envelope


def sign(statement: Mapping[str, object], kind: str, key: SigningKey) -> dict[str, Any]:
    """Sign a statement; return its envelope as JSON data.

    Args:
        kind: the type of the payload.
    """
    from securesystemslib.dsse import Envelope

    payload = json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()
    envelope = Envelope(payload, kind, {})
    envelope.sign(key.signer)
    return dict(envelope.to_dict())


def open_signed(data: bytes, kind: str, trusted: Iterable[PublicKey], origin: str) -> dict[str, Any]:
    """Return the statement of an envelope that a trusted key signed.

    Args:
        kind: the expected type of its payload; signed statements of other types are rejected.
        origin: what it is and where it comes from, for messages.

    Raises:
        IntegrityError: it is no such envelope, or no trusted key signed it.
    """
    from securesystemslib.dsse import Envelope

    keys = list(trusted)
    try:
        envelope = Envelope.from_dict(json.loads(data))
        stated = envelope.payload_type
        if stated == kind and any(_has_signed(key, envelope) for key in keys):
            statement = json.loads(envelope.payload)
            if isinstance(statement, dict):
                return statement
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise IntegrityError(
            f"{origin} is not signed as it should be: {error!r}",
            hint="have it made anew by who publishes it; what is there was damaged, or is something else.",
        ) from error
    if stated != kind:
        raise IntegrityError(
            f"{origin} is signed as {stated}, and not as {kind}",
            hint="have it made anew by who publishes it: this is something else that was signed.",
        )
    names = ", ".join(key.short for key in keys) or "none"
    raise IntegrityError(
        f"{origin} is not signed by a key that is trusted here ({names})",
        hint="ask who publishes it for their public key, compare it with them, and trust it with "
        "`crosswheel keys trust FILE`; if it should be signed by one of yours, it was changed.",
    )


def _has_signed(key: PublicKey, envelope: Envelope) -> bool:
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import VerificationError
    from securesystemslib.signer import Signature

    # The key id in an envelope is an unsigned hint; only the signature counts.
    name = key.verifier.keyid
    for signature in envelope.signatures.values():
        candidate = Envelope(
            envelope.payload, envelope.payload_type, {name: Signature(name, signature.signature)}
        )
        with contextlib.suppress(VerificationError):
            candidate.verify([key.verifier], 1)
            return True
    return False
