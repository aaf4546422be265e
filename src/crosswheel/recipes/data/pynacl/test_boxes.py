"""Boxes open for whom they are meant, signatures verify, and a hash is the known one."""

import nacl.encoding
import nacl.exceptions
import nacl.hash
import nacl.public
import nacl.pwhash
import nacl.secret
import nacl.signing

a, b = nacl.public.PrivateKey.generate(), nacl.public.PrivateKey.generate()
sealed = nacl.public.Box(a, b.public_key).encrypt(b"robot")
assert nacl.public.Box(b, a.public_key).decrypt(sealed) == b"robot"
box = nacl.secret.SecretBox(bytes(32))
assert box.decrypt(box.encrypt(b"robot")) == b"robot"
key = nacl.signing.SigningKey.generate()
key.verify_key.verify(key.sign(b"robot"))
assert nacl.hash.sha256(b"abc").startswith(b"ba7816bf8f01cfea")
assert nacl.hash.blake2b(b"", encoder=nacl.encoding.HexEncoder).startswith(b"0e5751c026e543b2")
derived = nacl.pwhash.argon2id.kdf(32, b"robot", bytes(16), opslimit=1, memlimit=8192)
assert len(derived) == 32
try:
    box.decrypt(bytes(64))
except nacl.exceptions.CryptoError:
    pass
else:
    raise AssertionError("a forged box was opened")
