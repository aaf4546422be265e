"""The hash is FNV-1a of 32 bits, by the part that is C."""

from fnv_hash_fast import _fnv_impl, fnv1a_32

assert fnv1a_32(b"") == 0x811C9DC5
assert fnv1a_32(b"foobar") == 0xBF9CF968
assert _fnv_impl.__file__.endswith(".so")
