"""What is encrypted comes back, what was changed is noticed, and hashes and curves have known values."""

from Crypto.Cipher import AES, ChaCha20_Poly1305
from Crypto.Hash import SHA256, BLAKE2b, keccak
from Crypto.Protocol.KDF import scrypt
from Crypto.PublicKey import ECC
from Crypto.Signature import eddsa

cipher = AES.new(bytes(range(16)), AES.MODE_GCM, nonce=b"n" * 12)
text, tag = cipher.encrypt_and_digest(b"aspirate 50 uL")
assert (
    AES.new(bytes(range(16)), AES.MODE_GCM, nonce=b"n" * 12).decrypt_and_verify(text, tag)
    == b"aspirate 50 uL"
)
try:
    AES.new(bytes(range(16)), AES.MODE_GCM, nonce=b"n" * 12).decrypt_and_verify(text[:-1] + b"x", tag)
except ValueError:
    pass
else:
    raise AssertionError("a changed text was accepted")
ecb = AES.new(bytes.fromhex("000102030405060708090a0b0c0d0e0f"), AES.MODE_ECB)
assert (
    ecb.encrypt(bytes.fromhex("00112233445566778899aabbccddeeff")).hex() == "69c4e0d86a7b0430d8cdb78070b4c55a"
)
assert SHA256.new(b"abc").hexdigest().startswith("ba7816bf8f01cfea")
assert keccak.new(digest_bits=256, data=b"").hexdigest().startswith("c5d2460186f7233c")
assert BLAKE2b.new(digest_bits=512, data=b"abc").hexdigest().startswith("ba80a53f981c4d0d")
assert len(scrypt("password", "salt", 32, N=16, r=8, p=1)) == 32
assert ChaCha20_Poly1305.new(key=bytes(32), nonce=bytes(12)).encrypt(bytes(8)).hex() == "9f07e7be5551387a"
key = ECC.generate(curve="Ed25519")
signature = eddsa.new(key, "rfc8032").sign(b"run 7")
eddsa.new(key.public_key(), "rfc8032").verify(b"run 7", signature)
