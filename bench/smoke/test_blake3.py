"""The hash of nothing is the published one; parts give what the whole gives, with one thread and with many."""

from blake3 import blake3

assert blake3(b"").hexdigest() == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
data = bytes(range(251)) * 4000
parts = blake3()
for start in range(0, len(data), 65536):
    parts.update(data[start : start + 65536])
assert parts.digest() == blake3(data).digest() == blake3(data, max_threads=blake3.AUTO).digest()
assert blake3(data, key=b"k" * 32).digest() != blake3(data).digest()
