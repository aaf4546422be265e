"""Sign with an Ed25519 key that never leaves a token, such as an HSM: PKCS #11, through the library of its maker.

A URI names the key (RFC 7512): ``pkcs11:token=…;object=…?module-path=…&pin-source=…``.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from crosswheel.errors import MissingToolError, UsageError

SCHEME = "pkcs11:"
_SIZE = 32
_ONE_LOGIN = threading.Lock()
"""A token knows one login for all threads of a process."""
_HINT = (
    "give pkcs11:token=LABEL;object=LABEL?module-path=/path/of/the/library.so&pin-source=/path/of/a/file, each value "
    "percent-encoded; the token needs an Ed25519 key, with its public half, under that label."
)


@dataclass(frozen=True)
class TokenKey(Ed25519PrivateKey):
    """A private key on a token.

    Attributes:
        token: the token's label.
        label: the key's.
        module: the library of the token's maker.
        pin: what opens the token.
    """

    token: str
    label: str
    module: str
    pin: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, uri: str) -> TokenKey:
        """Return the key that a URI names.

        Raises:
            UsageError: the URI lacks something, or the file of the PIN cannot be read.
        """
        path, _, query = uri.removeprefix(SCHEME).partition("?")
        pairs = (item.partition("=") for item in [*path.split(";"), *query.split("&")])
        stated = {name: unquote(value) for name, _, value in pairs}
        missing = [name for name in ("token", "object", "module-path") if not stated.get(name)]
        if missing:
            raise UsageError(f"the URI of the signing key lacks {' and '.join(missing)}", hint=_HINT)
        pin, source = stated.get("pin-value"), stated.get("pin-source", "").removeprefix("file:")
        if source:
            try:
                pin = Path(source).read_text().strip()
            except OSError as error:
                raise UsageError(f"the PIN cannot be read: {source}: {error.strerror}", hint=_HINT) from error
        return cls(stated["token"], stated["object"], stated["module-path"], pin)

    def sign(self, data: Any) -> bytes:
        """Sign on the token.

        Raises:
            MissingToolError: the library for PKCS #11 is not installed.
            UsageError: the token does not sign.
        """
        with self._opened() as (pkcs11, session):
            kind, key_type = pkcs11.ObjectClass.PRIVATE_KEY, pkcs11.KeyType.EC_EDWARDS
            key = session.get_key(kind, key_type, label=self.label)
            return bytes(key.sign(bytes(data), mechanism=pkcs11.Mechanism.EDDSA))

    def public_key(self) -> Ed25519PublicKey:
        """Read the public key from the token; errors as in :meth:`sign`."""
        with self._opened() as (pkcs11, session):
            kind, key_type = pkcs11.ObjectClass.PUBLIC_KEY, pkcs11.KeyType.EC_EDWARDS
            key = session.get_key(kind, key_type, label=self.label)
            point = bytes(key[pkcs11.Attribute.EC_POINT])
        return Ed25519PublicKey.from_public_bytes(point[-_SIZE:])  # without its DER header, if it has one

    @contextlib.contextmanager
    def _opened(self) -> Iterator[tuple[Any, Any]]:
        """Yield the library for PKCS #11, and a session with the token."""
        try:
            import pkcs11  # an extra
        except ImportError as error:
            raise MissingToolError(
                "a key on a token needs a library for PKCS #11, which is not installed",
                hint=f"uv pip install --python {sys.executable} python-pkcs11",
            ) from error
        try:
            with _ONE_LOGIN:
                token = pkcs11.lib(self.module).get_token(token_label=self.token)
                with token.open(user_pin=self.pin) as session:
                    yield pkcs11, session
        except (pkcs11.exceptions.PKCS11Error, OSError, RuntimeError) as error:
            reason = " ".join([type(error).__name__, *map(str, error.args)])
            raise UsageError(
                f"the key {self.label} on the token {self.token} cannot be used: {reason}", hint=_HINT
            ) from error

    def private_bytes(self, *_: object, **__: object) -> NoReturn:
        """Refuse: the token keeps the key."""
        raise UsageError(f"the key {self.label} cannot leave its token", hint="keep a second token instead.")

    private_bytes_raw = private_bytes

    def __copy__(self) -> TokenKey:
        return self

    def __deepcopy__(self, memo: object) -> TokenKey:
        return self
