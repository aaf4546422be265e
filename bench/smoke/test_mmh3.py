"""Hashes have known values, whole and in parts."""

import mmh3

assert mmh3.hash("foo") == -156908512
assert mmh3.hash("foo", 42) == -1322301282
assert mmh3.hash64("foo") == (-2129773440516405919, 9128664383759220103)
hasher = mmh3.mmh3_x64_128(seed=7)
hasher.update(b"dispense")
hasher.update(b" 10 uL")
assert hasher.digest() == mmh3.mmh3_x64_128(b"dispense 10 uL", seed=7).digest()
