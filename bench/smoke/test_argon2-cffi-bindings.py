"""A password is hashed as another machine would, and a wrong one is noticed."""

from _argon2_cffi_bindings import ffi, lib

hashed = ffi.new("char[]", 200)
salt = b"salt" * 4
done = lib.argon2_hash(
    2, 64, 1, b"password", 8, salt, 16, ffi.new("uint8_t[]", 32), 32, hashed, 200, lib.Argon2_id, 0x13
)
assert done == lib.ARGON2_OK
assert ffi.string(hashed).startswith(b"$argon2id$v=19$m=64,t=2,p=1$")
assert lib.argon2_verify(hashed, b"password", 8, lib.Argon2_id) == lib.ARGON2_OK
assert lib.argon2_verify(hashed, b"passwore", 8, lib.Argon2_id) == lib.ARGON2_VERIFY_MISMATCH
