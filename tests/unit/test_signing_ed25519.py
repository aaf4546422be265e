"""The verifier that goes to robots agrees with RFC 8032, with Wycheproof's attempts to deceive it, and with OpenSSL."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from crosswheel.agent.ed25519 import is_signed

# RFC 8032, section 7.1: public key, message, signature.
RFC_8032 = (
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe"
        "24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302a"
        "eeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed2"
        "8dc027beceea1ec40a",
    ),
    (
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce8"
        "0e2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac1"
        "7ad9bef1177331a704",
    ),
)
WYCHEPROOF = [
    line.split()
    for line in (Path(__file__).parent / "wycheproof_ed25519.txt").read_text().splitlines()
    if not line.startswith("#")
]


@pytest.mark.parametrize(("public", "message", "signature"), RFC_8032)
def test_the_signatures_of_the_rfc_are_valid_and_with_a_changed_bit_are_not(
    public: str, message: str, signature: str
) -> None:
    key, text, signed = map(bytes.fromhex, (public, message, signature))
    assert is_signed(key, text, signed)
    assert not is_signed(key, text + b"\0", signed)
    assert not is_signed(bytes([key[0] ^ 1]) + key[1:], text, signed)
    assert not is_signed(key, text, signed[:-1] + bytes([signed[-1] ^ 1]))
    assert not is_signed(key, text, bytes([signed[0] ^ 1]) + signed[1:])


def test_what_wycheproof_takes_is_taken_and_nothing_else() -> None:
    assert len(WYCHEPROOF) == 151
    wrong = [
        number
        for number, result, public, signature, message in WYCHEPROOF
        if is_signed(*(bytes.fromhex(text.strip("-")) for text in (public, message, signature)))
        is not (result == "valid")
    ]
    assert wrong == []


def test_what_openssl_signs_is_signed() -> None:
    for number in range(8):
        private = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
        public, message = private.public_key().public_bytes_raw(), bytes([number]) * number * 100
        assert is_signed(public, message, private.sign(message))


@pytest.mark.parametrize(
    "point", ["neutral", "neutral with a sign", "not on the curve", "not canonical", "short"]
)
def test_a_key_that_is_no_point_or_everybodys_signs_nothing(point: str) -> None:
    keys = {
        "neutral": b"\x01" + b"\0" * 31,
        "neutral with a sign": b"\x01" + b"\0" * 30 + b"\x80",
        "not on the curve": b"\x02" + b"\0" * 31,
        "not canonical": b"\xee" + b"\xff" * 30 + b"\x7f",
        "short": b"\x01" * 31,
    }
    # What is a signature by the neutral point of anything, where nobody looks at the key.
    assert not is_signed(keys[point], b"anything", b"\x01" + b"\0" * 63)
