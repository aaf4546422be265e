"""A sigstore of one's own on the loopback: an authority, a certificate log and a signature log, each with its own key.

The authority writes into certificates what a token claims, as Fulcio does for GitHub and GitLab; it verifies no token.
The signature log is Rekor's first version, and each of its entries is alone in a log.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import rfc8785
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from support.servers import LoopbackServer

GITHUB = "https://token.actions.githubusercontent.com"
_SCTS = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_CLAIMS = {8: "iss", 12: "repository_uri", 14: "ref", 18: "workflow_uri"}  # below 1.3.6.1.4.1.57264.1


def _spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.DER, form)


def _key_id(key: ec.EllipticCurvePrivateKey) -> bytes:
    return hashlib.sha256(_spki(key)).digest()


def _sign(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    return key.sign(data, ec.ECDSA(hashes.SHA256()))


def _der(tag: int, data: bytes) -> bytes:
    size = len(data)
    length = bytes([size]) if size < 128 else bytes([0x82]) + struct.pack("!H", size)
    return bytes([tag]) + length + data


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def token(claims: Mapping[str, Any], audience: str = "sigstore") -> str:
    """Return a token with claims, as a CI would give, but signed by nobody."""
    now = int(datetime.datetime.now(datetime.timezone.utc).timestamp())
    whole = {"aud": audience, "sub": "job", "iat": now - 5, "nbf": now - 5, "exp": now + 600, **claims}
    parts = ({"alg": "none", "typ": "JWT"}, whole)
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, "c2lnbmF0dXJl"])


def claims_of(repository: str = "lab/robots", workflow: str = "production.yml") -> dict[str, str]:
    """Return the claims of a job in GitHub Actions."""
    uri = f"https://github.com/{repository}"
    return {
        "iss": GITHUB,
        "repository_uri": uri,
        "ref": "refs/heads/main",
        "workflow_uri": f"{uri}/.github/workflows/{workflow}@refs/heads/main",
    }


@dataclass
class SigstoreServices(LoopbackServer):
    """Runs while the block lasts.

    Attributes:
        claims: what the CI's tokens claim.
        failing: answer every request of the authority and the logs with an error.
        signs_other: the signature log answers with the entry of another signature.
    """

    claims: dict[str, str] = field(default_factory=claims_of)
    failing: bool = False
    signs_other: bool = False
    entries: int = 0

    def __post_init__(self) -> None:
        self._keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("ca", "ct", "rekor")}

    def handler(self) -> type[BaseHTTPRequestHandler]:
        """Return what answers for the authority and the logs."""
        return _handler(self)

    @property
    def variables(self) -> dict[str, str]:
        """The variables by which a job of GitHub Actions finds its token."""
        return {
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.url}/token?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "secret",
        }

    def write_config(self, folder: Path) -> Path:
        """Write the trust configuration of these services."""
        since = {"start": "2020-01-01T00:00:00Z"}
        services = [{"url": self.url, "majorApiVersion": 1, "validFor": since, "operator": "test"}]
        authority = {
            "subject": {"organization": "test", "commonName": "test"},
            "uri": self.url,
            "certChain": {"certificates": [{"rawBytes": _b64(self._der_of(self.authority))}]},
            "validFor": since,
        }
        root = {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [self._log("rekor")],
            "ctlogs": [self._log("ct")],
            "certificateAuthorities": [authority],
            "timestampAuthorities": [],
        }
        signing = {
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": services,
            "oidcUrls": services,
            "rekorTlogUrls": services,
            "rekorTlogConfig": {"selector": "ANY"},
            "tsaUrls": [],
            "tsaConfig": {"selector": "ANY"},
        }
        config = {
            "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
            "trustedRoot": root,
            "signingConfig": signing,
        }
        path = folder / "sigstore.json"
        path.write_text(json.dumps(config))
        return path

    def _log(self, name: str) -> dict[str, object]:
        return {
            "baseUrl": self.url,
            "hashAlgorithm": "SHA2_256",
            "publicKey": {
                "rawBytes": _b64(_spki(self._keys[name])),
                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                "validFor": {"start": "2020-01-01T00:00:00Z"},
            },
            "logId": {"keyId": _b64(_key_id(self._keys[name]))},
        }

    def _der_of(self, certificate: x509.Certificate) -> bytes:
        return certificate.public_bytes(serialization.Encoding.DER)

    @cached_property
    def authority(self) -> x509.Certificate:
        """The authority's own certificate."""
        key, name = self._keys["ca"], x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        return (
            self._builder(name, name, key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )

    def _builder(self, subject: x509.Name, issuer: x509.Name, key: Any) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
        lasts = datetime.timedelta(days=1)
        return (
            x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number())
            .not_valid_before(now - lasts)
            .not_valid_after(now + lasts)
        )

    def certify(self, request: Mapping[str, Any], claims: Mapping[str, str]) -> dict[str, object]:
        """Return the answer of the authority: a certificate, which the certificate log has signed."""
        asked = x509.load_pem_x509_csr(base64.b64decode(request["certificateSigningRequest"]))
        usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
        identity = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(claims["workflow_uri"])])
        issuer_key = self._keys["ca"].public_key()
        builder = (
            self._builder(x509.Name([]), self.authority.subject, asked.public_key())
            .add_extension(usage, critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
            .add_extension(identity, critical=True)
        )
        for number, name in _CLAIMS.items():
            oid = x509.ObjectIdentifier(f"1.3.6.1.4.1.57264.1.{number}")
            value = _der(0x0C, claims[name].encode())
            builder = builder.add_extension(x509.UnrecognizedExtension(oid, value), critical=False)
        unlogged = builder.sign(self._keys["ca"], hashes.SHA256())
        logged = _der(0x04, self._timestamps(unlogged.tbs_certificate_bytes))
        certificate = builder.add_extension(x509.UnrecognizedExtension(_SCTS, logged), critical=False).sign(
            self._keys["ca"], hashes.SHA256()
        )
        chain = [
            item.public_bytes(serialization.Encoding.PEM).decode() for item in (certificate, self.authority)
        ]
        return {"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}}

    def _timestamps(self, tbs: bytes) -> bytes:
        """Return the certificate log's list of one timestamp (RFC 6962)."""
        time = int(datetime.datetime.now(datetime.timezone.utc).timestamp()) * 1000
        entry = _key_id(self._keys["ca"]) + struct.pack("!I", len(tbs))[1:] + tbs
        signature = _sign(self._keys["ct"], struct.pack("!BBQH", 0, 0, time, 1) + entry + b"\0\0")
        timestamp = bytes([0]) + _key_id(self._keys["ct"]) + struct.pack("!QH", time, 0)
        timestamp += bytes([4, 3]) + struct.pack("!H", len(signature)) + signature
        return struct.pack("!HH", len(timestamp) + 2, len(timestamp)) + timestamp

    def record(self, proposed: Mapping[str, Any]) -> dict[str, object]:
        """Return the answer of the signature log to a proposed entry."""
        self.entries += 1
        content = proposed["spec"]["proposedContent"]
        envelope = json.loads(content["envelope"])
        signature = envelope["signatures"][0]["sig"]
        body = {
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {
                "envelopeHash": {
                    "algorithm": "sha256",
                    "value": hashlib.sha256(content["envelope"].encode()).hexdigest(),
                },
                "payloadHash": {
                    "algorithm": "sha256",
                    "value": hashlib.sha256(base64.b64decode(envelope["payload"])).hexdigest(),
                },
                "signatures": [
                    {
                        "signature": _b64(b"another") if self.signs_other else signature,
                        "verifier": content["verifiers"][0],
                    }
                ],
            },
        }
        return {"0": self._entry(rfc8785.dumps(body))}

    def _entry(self, body: bytes) -> dict[str, object]:
        key, key_id = self._keys["rekor"], _key_id(self._keys["rekor"])
        root = hashlib.sha256(b"\0" + body).digest()
        note = f"test - 1\n1\n{_b64(root)}\n"
        checkpoint = f"{note}\n— test {_b64(key_id[:4] + _sign(key, note.encode()))}\n"
        time = int(datetime.datetime.now(datetime.timezone.utc).timestamp())
        promised = {"body": _b64(body), "integratedTime": time, "logID": key_id.hex(), "logIndex": 0}
        proof = {"logIndex": 0, "rootHash": root.hex(), "treeSize": 1, "hashes": [], "checkpoint": checkpoint}
        promise = _b64(_sign(key, rfc8785.dumps(promised)))
        return {**promised, "verification": {"inclusionProof": proof, "signedEntryTimestamp": promise}}


def _handler(services: SigstoreServices) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the CI's token
            self._answer({"value": token(services.claims)})

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if services.failing:
                self.send_error(503)
            elif self.path == "/api/v2/signingCert":
                payload = self.headers["Authorization"].split(".")[1]
                claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
                self._answer(services.certify(asked, claims))
            else:
                assert self.path == "/api/v1/log/entries"
                self._answer(services.record(asked), 201)

        def _answer(self, value: object, code: int = 200) -> None:
            data = json.dumps(value).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
