"""A password is recognised, another one is not, and a published hash is the known one."""

import bcrypt

hashed = bcrypt.hashpw(b"robot", bcrypt.gensalt(4))
assert bcrypt.checkpw(b"robot", hashed)
assert not bcrypt.checkpw(b"robots", hashed)
known = b"$2b$04$cVWp4XaNU8a4v1uMRum2SO026BWLIoQMD/TXg5uZV.0P.uO8m3YEm"
assert bcrypt.hashpw(b"allmine"[:7], known)[:29] == known[:29]
assert bcrypt.kdf(b"password", b"salt", 32, 4).hex().startswith("5bbf0cc293587f1c")
