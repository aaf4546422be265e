"""Keep keys as PEM files in a folder of the user's: the private signing key, and the trusted public keys."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from crosswheel.errors import UsageError
from crosswheel.files import explained_storage_errors, new_file, write_bytes
from crosswheel.signing.hardware import SCHEME, TokenKey

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner, SSlibKey

VARIABLE = "CROSSWHEEL_SIGNING_KEY"
"""The environment variable that holds a private key (PEM), the path of its file, or the URI of a key on a token."""
_PRIVATE, _TRUSTED, _RETIRED = "signing.pem", "trusted", "retired"
_SHORT = 16


@dataclass(frozen=True)
class PublicKey:
    """A public key, as its 32 bytes in hexadecimal."""

    hexadecimal: str

    @property
    def short(self) -> str:
        """The first digits of the key, for messages."""
        return self.hexadecimal[:_SHORT]

    @property
    def pem(self) -> bytes:
        """The key in the common exchange format: ``SubjectPublicKeyInfo``, in PEM."""
        return self._key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    @cached_property
    def verifier(self) -> SSlibKey:
        """The key as securesystemslib's verifier."""
        from securesystemslib.signer import SSlibKey  # looks for the libraries of all clouds

        return SSlibKey.from_crypto(self._key)

    @property
    def _key(self) -> Ed25519PublicKey:
        return Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.hexadecimal))

    @classmethod
    def read(cls, path: Path) -> PublicKey:
        """Read a public key from a PEM file.

        Raises:
            UsageError: it is not a public key, or one of another kind.
        """
        try:
            key = load_pem_public_key(path.read_bytes())
        except (OSError, ValueError, UnsupportedAlgorithm) as error:
            raise UsageError(
                f"{path} is not a public key: {error}",
                hint="give the file that `crosswheel keys show` names.",
            ) from error
        if not isinstance(key, Ed25519PublicKey):
            raise UsageError(f"{path} is not an Ed25519 key", hint="make one with `crosswheel keys new`.")
        return cls(key.public_bytes(Encoding.Raw, PublicFormat.Raw).hex())


@dataclass(frozen=True)
class SigningKey:
    """A private key that signs."""

    private: Ed25519PrivateKey

    @property
    def public(self) -> PublicKey:
        """The corresponding public key."""
        return PublicKey(self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex())

    @property
    def signer(self) -> CryptoSigner:
        """The key as securesystemslib's signer."""
        from securesystemslib.signer import CryptoSigner  # looks for the libraries of all clouds

        return CryptoSigner(self.private, self.public.verifier)

    @property
    def pem(self) -> bytes:
        """The key in storage format: PKCS #8, in PEM."""
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @classmethod
    def new(cls) -> SigningKey:
        """Generate a key."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def parse(cls, pem: bytes, origin: str) -> SigningKey:
        """Return the private key in a PEM text.

        Raises:
            UsageError: it has no private key, one of another kind, or one with a passphrase.
        """
        try:
            key = load_pem_private_key(pem, None)
        except (TypeError, ValueError, UnsupportedAlgorithm) as error:
            raise UsageError(
                f"{origin} is not a private key that can be used: {error}",
                hint="it has to be PKCS #8 in PEM, without a passphrase, as `crosswheel keys new` makes it.",
            ) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise UsageError(f"{origin} is not an Ed25519 key", hint="make one with `crosswheel keys new`.")
        return cls(key)

    @classmethod
    def read(cls, path: Path) -> SigningKey:
        """Read a private key from a file that only its owner may read.

        Raises:
            UsageError: it cannot be read, others may read it, or it is not a suitable key.
        """
        try:
            with path.open("rb") as stream:
                status, pem = os.fstat(stream.fileno()), stream.read()
        except OSError as error:
            raise UsageError(
                f"the private key {path} cannot be read: {error.strerror}",
                hint=f"see what {VARIABLE} says, or make a key with `crosswheel keys new`.",
            ) from error
        if stat.S_IMODE(status.st_mode) & 0o077 or status.st_uid not in (os.geteuid(), 0):
            raise UsageError(
                f"the private key {path} can be read or replaced by others (mode {stat.S_IMODE(status.st_mode):o}, of "
                f"user {status.st_uid})",
                hint=f"if nobody has read it: chmod 600 {path}, as its owner; otherwise `crosswheel keys rotate` after "
                "that.",
            )
        return cls.parse(pem, str(path))


@dataclass(frozen=True)
class KeyFolder:
    """The folder of keys: ``signing.pem``, ``trusted/*.pem`` and the statements of former keys.

    Attributes:
        given: the environment's ``CROSSWHEEL_SIGNING_KEY``, if it is set.
    """

    path: Path
    given: str | None = None

    @classmethod
    def of(cls, path: Path, environ: Mapping[str, str] | None = None) -> KeyFolder:
        """Return the folder, combined with the environment."""
        return cls(path, (os.environ if environ is None else environ).get(VARIABLE) or None)

    @property
    def private(self) -> Path:
        """The path of the signing key."""
        return self.path / _PRIVATE

    def signing_key(self) -> SigningKey | None:
        """Return the signing key: the environment's, or otherwise the folder's; ``None`` if there is neither.

        Raises:
            UsageError: the key cannot be used.
        """
        if self.given and self.given.lstrip().startswith("-----BEGIN"):
            return SigningKey.parse(self.given.encode(), VARIABLE)
        if self.given and self.given.startswith(SCHEME):
            return SigningKey(TokenKey.parse(self.given))
        if self.given:
            return SigningKey.read(Path(self.given).expanduser())
        return SigningKey.read(self.private) if os.path.lexists(self.private) else None

    def trusted(self) -> list[PublicKey]:
        """Return the trusted public keys: those in the folder, and that of the signing key.

        Raises:
            UsageError: one of them is not a public key.
        """
        keys = [PublicKey.read(path) for path in sorted((self.path / _TRUSTED).glob("*.pem"))]
        signing = self.signing_key()
        return list(dict.fromkeys([*([signing.public] if signing else ()), *keys]))

    def create(self) -> SigningKey:
        """Generate the signing key, and trust it.

        Raises:
            UsageError: there is a signing key already.
            StorageError: it cannot be written.
        """
        if os.path.lexists(self.private):
            raise UsageError(
                f"there is a private key already: {self.private}",
                hint="`crosswheel keys show` shows it; `crosswheel keys rotate` hands over to a new one.",
            )
        key = SigningKey.new()
        self._write(key)
        return key

    def replace(self, key: SigningKey) -> Path:
        """Replace the signing key; return the path where the former one is kept."""
        former = SigningKey.read(self.private)
        retired = self.path / _RETIRED / f"{former.public.short}.pem"
        _write_private(retired, former.pem)
        self.trust([former.public])  # what it signed stays valid
        self._write(key)
        return retired

    def trust(self, keys: Iterable[PublicKey]) -> list[Path]:
        """Trust keys from now on; return the paths of their files."""
        paths = {self.path / _TRUSTED / f"{key.short}.pem": key.pem for key in keys}
        for path, pem in paths.items():
            write_bytes(path, pem)
        return list(paths)

    def _write(self, key: SigningKey) -> None:
        self.trust([key.public])
        _write_private(self.private, key.pem)


def _write_private(path: Path, pem: bytes) -> None:
    with explained_storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with new_file(path, mode=None) as temporary:
            # Restrict the mode before the first byte is written.
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(handle, pem)
            os.close(handle)
