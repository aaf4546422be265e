"""Seal what the cache keeps with a key that lies outside it, so that what others put there is noticed.

A hash beside a wheel shows damage, but whoever can write to the cache can replace both. A seal is a keyed hash
(HMAC-SHA-256, RFC 2104) over a text and the name under which it is kept, so that one record does not pass for another.
Only this user has the key, which the sandbox hides from builds.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from platformdirs import user_state_path

from crosswheel.errors import UsageError
from crosswheel.files import write_text

VARIABLE = "CROSSWHEEL_CACHE_KEY"
"""The environment variable that holds the key as a text, for machines that only restore a cache."""
_SIZE = 32


@dataclass(frozen=True)
class Seals:
    """Read and write sealed texts.

    Attributes:
        key: the secret key.
        is_kept: whether the next command has the same key; otherwise it believes nothing that this one keeps.
    """

    key: bytes = field(repr=False)
    is_kept: bool = True

    @classmethod
    def of_user(cls, environ: Mapping[str, str] | None = None, path: Path | None = None) -> Seals:
        """Return the seals of this user: with the environment's key, or else with a file's, made when first needed.

        Args:
            path: the key's file, if it is not the one below the user's folder for state.

        Raises:
            UsageError: others can read or replace the key.
        """
        given = (os.environ if environ is None else environ).get(VARIABLE)
        if given:
            return cls(hashlib.sha256(given.encode()).digest())
        path = path or user_state_path("crosswheel") / "cache.key"
        try:
            key = _read(path) or _new(path)
        except OSError:  # such as a home folder that does not exist
            key = None
        return cls(key) if key else cls(secrets.token_bytes(_SIZE), is_kept=False)

    def write(self, path: Path, name: str, text: str) -> None:
        """Write a text with its seal, as a whole or not at all.

        Args:
            name: identifies what the text is about, such as the digest of all inputs.
        """
        write_text(path, f"{self._seal(name, text.encode())}\n{text}")

    def read(self, path: Path, name: str) -> str | None:
        """Return a text that :meth:`write` wrote under this name; ``None`` if there is none, or it was changed."""
        try:
            seal, _, text = path.read_bytes().partition(b"\n")
        except FileNotFoundError:
            return None
        return text.decode() if hmac.compare_digest(self._seal(name, text).encode(), seal) else None

    def _seal(self, name: str, text: bytes) -> str:
        return hmac.new(self.key, name.encode() + b"\0" + text, hashlib.sha256).hexdigest()


def _read(path: Path) -> bytes | None:
    """Return the key in a file that only its owner may read; ``None`` if there is none."""
    try:
        with path.open("rb") as stream:
            status, key = os.fstat(stream.fileno()), stream.read()
    except FileNotFoundError:
        return None
    if stat.S_IMODE(status.st_mode) & 0o077 or status.st_uid not in (os.geteuid(), 0) or len(key) != _SIZE:
        raise UsageError(
            f"the key of the cache, {path}, is damaged, or others can read or replace it",
            hint="remove it: a new one is made, and the wheels that the cache has are made anew.",
        )
    return key


def _new(path: Path) -> bytes | None:
    """Make the key; return that of another command if it was first."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(secrets.token_bytes(_SIZE))
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)  # never replaces one
    finally:
        temporary.unlink(missing_ok=True)
    return _read(path)
