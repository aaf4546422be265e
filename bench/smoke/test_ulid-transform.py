"""Identifiers are made, sort by their time, and are read back."""

from ulid_transform import bytes_to_ulid, ulid_at_time, ulid_hex, ulid_to_bytes

early, late = ulid_at_time(1_000_000_000.0), ulid_at_time(2_000_000_000.0)
assert len(early) == 26
assert early < late
assert bytes_to_ulid(ulid_to_bytes(early)) == early
assert len(ulid_hex()) == 32
