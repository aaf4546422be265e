"""Rotate keys: the former key signs its successor, for everyone who trusts the former key."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crosswheel.agent.signed import ROTATION
from crosswheel.errors import UsageError
from crosswheel.files import write_text
from crosswheel.signing.envelope import sign
from crosswheel.signing.keys import KeyFolder, PublicKey, SigningKey

_FOLDER = "rotations"


def rotate(folder: KeyFolder) -> tuple[PublicKey, PublicKey, Path]:
    """Generate a new signing key and sign it with the former one; return both, and the path of the former one.

    Raises:
        UsageError: there is no key in the folder, or the key cannot be used.
        StorageError: a file cannot be written.
    """
    if folder.given is not None or not folder.private.exists():
        raise UsageError(
            f"there is no private key in {folder.path} to hand over from",
            hint="a key that the environment gives is changed where it is kept; `crosswheel keys new` makes one here.",
        )
    former, key = SigningKey.read(folder.private), SigningKey.new()
    statement = {"from": former.public.hexadecimal, "to": key.public.hexadecimal, "issued": int(time.time())}
    number = len(rotations(folder)) + 1
    write_text(
        folder.path / _FOLDER / f"{number:04}-{key.public.short}.json",
        json.dumps(sign(statement, ROTATION, former), indent=1) + "\n",
    )
    return former.public, key.public, folder.replace(key)


def rotations(folder: KeyFolder) -> Sequence[dict[str, Any]]:
    """Return the statements that former keys signed, as envelopes, the oldest first."""
    return [json.loads(path.read_bytes()) for path in sorted((folder.path / _FOLDER).glob("*.json"))]
