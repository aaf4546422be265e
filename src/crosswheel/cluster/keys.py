"""Makes the certificates by which the machines of a cluster know each other (TLS, both sides)."""

from __future__ import annotations

import datetime
import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from crosswheel.errors import UsageError
from crosswheel.files import explained_storage_errors, new_folder
from crosswheel.settings import Settings

if TYPE_CHECKING:
    from distributed import Security

PORT = 8786
"""The port of a scheduler where none is given, which is Dask's."""
VARIABLE = "CROSSWHEEL_CLUSTER_KEYS"
"""The environment variable that names the folder of a cluster's certificates."""
_DAYS = 5 * 365
# Certificates hold before they are made, as another machine's clock may be a day behind, or of another time zone.
_EARLIER_DAYS = 2
_AUTHORITY, _MEMBER, _KEY = "authority.pem", "member.pem", "member.key"


@dataclass(frozen=True)
class ClusterKeys:
    """The folder of a cluster's certificates, the same on each of its machines.

    ``authority.pem`` vouches for ``member.pem``, whose private key is ``member.key``. Nobody keeps the private key of
    the authority: to exclude a machine, make new ones for the others.
    """

    folder: Path

    @classmethod
    def of(cls, settings: Settings) -> ClusterKeys:
        """Return the folder that the environment names, or else the one beside the user's other keys."""
        named = os.environ.get(VARIABLE)
        return cls(Path(named).expanduser() if named else settings.keys / "cluster")

    def create(self) -> None:
        """Make the certificates.

        Raises:
            UsageError: there are some already.
            StorageError: they cannot be written.
        """
        if self.folder.exists():
            raise UsageError(
                f"a cluster's certificates are in {self.folder} already",
                hint="copy that folder to each machine of the cluster; to exclude a machine, remove it on all, and "
                "make new ones.",
            )
        contents = _certificates()
        with explained_storage_errors(self.folder), new_folder(self.folder) as folder:
            folder.chmod(0o700)
            for name, data in contents.items():
                handle = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                os.write(handle, data)
                os.close(handle)

    def security(self, address: str) -> Security | None:
        """Return what Dask needs to know of TLS for a scheduler's address; ``None`` where that is not encrypted.

        Raises:
            UsageError: there are no certificates, or others can read the private one.
        """
        from distributed import Security

        if urlsplit(address).scheme == "tcp":
            return None
        authority, member, key = (str(self.folder / name) for name in (_AUTHORITY, _MEMBER, _KEY))
        if not Path(key).is_file():
            raise UsageError(
                f"this machine has no certificate of the cluster in {self.folder}",
                hint="make them once with `crosswheel keys cluster`, and copy that folder to each machine.",
            )
        if Path(key).stat().st_mode & 0o077:
            raise UsageError(
                f"the private key {key} can be read by others", hint=f"chmod 600 {key}, as its owner."
            )
        roles = {
            f"tls_{role}_{kind}": path
            for role in ("client", "scheduler", "worker")
            for kind, path in (("cert", member), ("key", key))
        }
        return Security(tls_ca_file=authority, require_encryption=True, **roles)


def scheduler_address(text: str) -> str:
    """Return a scheduler's address with its port.

    Raises:
        UsageError: it is none, or it would let anybody on the network run code.
    """
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or parts.scheme not in ("tls", "tcp") or parts.path:
        raise UsageError(
            f"{text!r} is not the address of a scheduler", hint=f"write it as tls://head:{PORT}."
        )
    if parts.scheme == "tcp" and not _is_loopback(host):
        raise UsageError(
            f"{text} is not encrypted: whoever reaches it could run programs on all machines of the cluster",
            hint="use tls://, with certificates from `crosswheel keys cluster`; tcp:// is for this machine alone.",
        )
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}:{PORT if port is None else port}"


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _certificates() -> dict[str, bytes]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    authority_key, member_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    names = [
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"crosswheel cluster {role}")])
        for role in ("authority", "member")
    ]
    now = datetime.datetime.now(datetime.timezone.utc)

    def signed(name: x509.Name, key: ec.EllipticCurvePrivateKey, *, is_authority: bool) -> bytes:
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(names[0])
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=_EARLIER_DAYS))
            .not_valid_after(now + datetime.timedelta(days=_DAYS))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
            )
            .sign(authority_key, hashes.SHA256())
        )
        return certificate.public_bytes(Encoding.PEM)

    return {
        _AUTHORITY: signed(names[0], authority_key, is_authority=True),
        _MEMBER: signed(names[1], member_key, is_authority=False),
        _KEY: member_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    }
