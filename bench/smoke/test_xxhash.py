"""Hashes have known values, whole and in parts."""

import xxhash

assert xxhash.xxh32(b"").hexdigest() == "02cc5d05"
assert xxhash.xxh64(b"").hexdigest() == "ef46db3751d8e999"
assert xxhash.xxh3_64(b"").hexdigest() == "2d06800538d394c2"
whole = xxhash.xxh3_128(b"dispense" * 1000, seed=7)
parts = xxhash.xxh3_128(seed=7)
for _ in range(1000):
    parts.update(b"dispense")
assert parts.digest() == whole.digest()
