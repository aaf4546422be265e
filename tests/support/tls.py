"""A network that looks into TLS connections: a server whose certificate only the machine's own store vouches for."""

from __future__ import annotations

import datetime
import ipaddress
import os
import shlex
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from support.small_disk import unshare

# Whatever leads past the store.
_VARIABLES = (
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "PIP_CERT",
    "UV_NATIVE_TLS",
)


@dataclass(frozen=True)
class Inspected:
    """A server at ``url``; ``store`` is a folder as /etc/ssl/certs, which has the certificate of who signed its own."""

    url: str
    store: Path

    def run(self, *words: str, store: bool = True, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a program on a machine with this store; or with its own, which does not know the server."""
        env = {
            name: value
            for name, value in os.environ.items()
            if name not in _VARIABLES and "proxy" not in name.lower()
        }
        mounted: Sequence[str] = words
        if store:
            script = f'mount --bind {shlex.quote(str(self.store))} /etc/ssl/certs && exec "$@"'
            mounted = [*unshare(), "sh", "-c", script, "sh", *words]
        return subprocess.run(
            mounted, env={**env, **more}, capture_output=True, text=True, check=False, timeout=300
        )


@contextmanager
def inspected(files: Path, folder: Path) -> Iterator[Inspected]:
    """Serve files by TLS, from a network that looks into it."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a store of certificates with")
    chain = _certificates(folder)
    handler = partial(_Quiet, directory=str(files))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield Inspected(f"https://127.0.0.1:{server.server_port}", folder / "store")
        finally:
            server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *words: object) -> None:
        """Say nothing."""


def _certificates(folder: Path) -> Path:
    """Make an authority, a store that has it, and a file of a server's key and certificate by it."""
    store = folder / "store"
    store.mkdir()
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = _signed("an inspecting authority", authority_key, "an inspecting authority", authority_key)
    own = _signed("127.0.0.1", key, "an inspecting authority", authority_key)
    text = authority.public_bytes(serialization.Encoding.PEM)
    for name in ("ca-certificates.crt", "authority.pem"):
        (store / name).write_bytes(text)
    subprocess.run(["openssl", "rehash", store], check=True, capture_output=True)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.pem").write_bytes(private + own.public_bytes(serialization.Encoding.PEM))
    return folder / "server.pem"


def _signed(
    subject: str, key: ec.EllipticCurvePrivateKey, issuer: str, by: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    now, is_authority = datetime.datetime.now(datetime.timezone.utc), subject == issuer
    names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]) for name in (subject, issuer)]
    builder = (
        x509.CertificateBuilder()
        .subject_name(names[0])
        .issuer_name(names[1])
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    if not is_authority:
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    return builder.sign(by, hashes.SHA256())
