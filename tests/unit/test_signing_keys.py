"""Keys: who may read a private one, where it comes from, and what a signature of it covers."""

from __future__ import annotations

import base64
import json
import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from crosswheel.agent.manifest import Refused
from crosswheel.agent.signed import opened
from crosswheel.errors import IntegrityError, UsageError
from crosswheel.signing.envelope import open_signed, sign
from crosswheel.signing.keys import KeyFolder, PublicKey, SigningKey
from crosswheel.signing.rotation import rotate, rotations

KIND = "application/vnd.crosswheel.test+json"


def test_a_private_key_is_readable_by_its_owner_alone_whatever_the_umask_is(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        keys = KeyFolder(tmp_path / "keys")
        keys.create()
        rotate(keys)
    finally:
        os.umask(before)
    private = [keys.private, *(tmp_path / "keys/retired").iterdir()]
    assert [stat.S_IMODE(path.stat().st_mode) for path in private] == [0o600, 0o600]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_private_key_that_others_may_read_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    keys = KeyFolder(tmp_path)
    keys.create()
    keys.private.chmod(mode)
    with pytest.raises(UsageError, match=f"can be read or replaced by others .mode {mode:o}"):
        keys.signing_key()


def test_a_key_is_never_replaced_by_a_new_one(tmp_path: Path) -> None:
    keys = KeyFolder(tmp_path)
    pem = keys.create().pem
    with pytest.raises(UsageError, match="there is a private key already"):
        keys.create()
    assert keys.private.read_bytes() == pem


def test_the_environment_gives_a_key_or_its_file(tmp_path: Path) -> None:
    key = SigningKey.new()
    file = tmp_path / "key.pem"
    file.touch(0o600)
    file.write_bytes(key.pem)
    for given in (key.pem.decode(), str(file)):
        keys = KeyFolder.of(tmp_path / "none", {"CROSSWHEEL_SIGNING_KEY": given})
        assert keys.trusted() == [key.public]
    file.chmod(0o644)
    with pytest.raises(UsageError, match="by others"):
        KeyFolder.of(tmp_path, {"CROSSWHEEL_SIGNING_KEY": str(file)}).signing_key()


def test_without_any_key_nothing_signs_and_nothing_is_trusted(tmp_path: Path) -> None:
    keys = KeyFolder.of(tmp_path / "none", {"CROSSWHEEL_SIGNING_KEY": ""})
    assert (keys.signing_key(), keys.trusted()) == (None, [])


def test_what_is_no_ed25519_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / "signing.pem"
    secret = ed25519.Ed25519PrivateKey.generate()
    pem = Encoding.PEM, PrivateFormat.PKCS8
    wrong = {
        "not an Ed25519 key": ec.generate_private_key(ec.SECP256R1()).private_bytes(*pem, NoEncryption()),
        "that can be used": secret.private_bytes(*pem, BestAvailableEncryption(b"secret")),
        "not a private key": b"nothing",
        "not a private key that": b"",
    }
    for reason, data in wrong.items():
        path.touch(0o600)
        path.write_bytes(data)
        with pytest.raises(UsageError, match=reason):
            KeyFolder(tmp_path).signing_key()
    public = rsa.generate_private_key(65537, 2048).public_key()
    path.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(UsageError, match="not an Ed25519 key"):
        PublicKey.read(path)


def test_what_is_signed_here_a_robot_verifies_and_the_other_way_round() -> None:
    key, other = SigningKey.new(), SigningKey.new()
    envelope = sign({"a": 1}, KIND, key)
    assert opened(envelope, KIND, [other.public.hexadecimal, key.public.hexadecimal]) == {"a": 1}
    assert open_signed(json.dumps(envelope).encode(), KIND, [other.public, key.public], "it") == {"a": 1}


def test_what_is_signed_as_something_else_is_refused_though_the_signature_is_right() -> None:
    key = SigningKey.new()
    data = json.dumps(sign({"a": 1}, "application/vnd.in-toto+json", key)).encode()
    with pytest.raises(IntegrityError, match="and not as"):
        open_signed(data, KIND, [key.public], "it")


@pytest.mark.parametrize("change", ["payload", "type", "key", "name", "list", "text"])
def test_what_was_changed_is_refused_here_as_on_a_robot(change: str) -> None:
    key, other = SigningKey.new(), SigningKey.new()
    envelope = sign({"a": 1}, KIND, other if change == "key" else key)
    if change == "payload":
        envelope["payload"] = base64.b64encode(b'{"a":2}').decode()
    elif change == "type":
        envelope["payloadType"] = "application/vnd.in-toto+json"
    elif change == "name":
        envelope = sign({"a": 1}, KIND, other)
        envelope["signatures"][0]["keyid"] = key.public.verifier.keyid
    elif change == "list":
        envelope["signatures"] = [1]
    data = b"[" if change == "text" else json.dumps(envelope).encode()
    with pytest.raises(IntegrityError):
        open_signed(data, KIND, [key.public], "it")
    with pytest.raises(Refused):
        opened({} if change == "text" else envelope, KIND, [key.public.hexadecimal])


def test_after_handing_over_the_former_key_is_kept_and_what_it_signed_stays_trusted(tmp_path: Path) -> None:
    keys = KeyFolder(tmp_path)
    first = keys.create()
    former, new, retired = rotate(keys)
    assert (former, new) == (first.public, SigningKey.read(keys.private).public)
    assert SigningKey.read(retired).public == former
    assert set(keys.trusted()) == {former, new}
    assert [
        opened(envelope, envelope["payloadType"], [former.hexadecimal])["to"] for envelope in rotations(keys)
    ] == [new.hexadecimal]
