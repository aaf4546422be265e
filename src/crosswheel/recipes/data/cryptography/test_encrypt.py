"""What is encrypted can be decrypted, also by the old ciphers, signatures verify, and a hash is the known one."""

from cryptography.exceptions import InvalidSignature
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

try:
    from cryptography.hazmat.decrepit.ciphers import algorithms as old
except ImportError:  # before 43
    from cryptography.hazmat.primitives.ciphers import algorithms as old

fernet = Fernet(Fernet.generate_key())
assert fernet.decrypt(fernet.encrypt(b"robot")) == b"robot"

for cipher in (AESGCM(bytes(32)), ChaCha20Poly1305(bytes(32))):
    assert cipher.decrypt(bytes(12), cipher.encrypt(bytes(12), b"robot", b"lab"), b"lab") == b"robot"

# OpenSSL has these in its legacy provider. The ciphertexts of sixteen zero bytes are OpenSSL's own on another machine.
for algorithm, known in (
    ("Blowfish", "4ef997456198dd784ef997456198dd78"),
    ("CAST5", "13c502b354d5387113c502b354d53871"),
    ("IDEA", "00010001000000000001000100000000"),
    ("SEED", "90699de47893701e7511196be312af92"),
):
    blocks = Cipher(getattr(old, algorithm)(bytes(16)), modes.ECB()).encryptor()
    assert (blocks.update(bytes(16)) + blocks.finalize()).hex() == known, algorithm
stream = Cipher(old.ARC4(bytes(16)), None).encryptor()
assert stream.update(bytes(8)).hex() == "de188941a3375d3a"

digest = hashes.Hash(hashes.SHA256())
digest.update(b"abc")
assert digest.finalize().hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

key = ed25519.Ed25519PrivateKey.generate()
key.public_key().verify(key.sign(b"robot"), b"robot")
curve_key = ec.generate_private_key(ec.SECP256R1())
signature = curve_key.sign(b"robot", ec.ECDSA(hashes.SHA256()))
curve_key.public_key().verify(signature, b"robot", ec.ECDSA(hashes.SHA256()))
try:
    curve_key.public_key().verify(signature, b"other", ec.ECDSA(hashes.SHA256()))
except InvalidSignature:
    pass
else:
    raise AssertionError("a signature of something else was accepted")

rsa_key = rsa.generate_private_key(65537, 1024)
sealed = rsa_key.public_key().encrypt(
    b"robot", padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
)
assert rsa_key.decrypt(sealed, padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)) == b"robot"
