"""What is compressed comes back, whole and in parts; what was damaged is refused."""

import brotli

data = b"aspirate 50 uL from A1; " * 4000
small = brotli.compress(data, quality=9)
assert len(small) < len(data) / 100
assert brotli.decompress(small) == data
reader = brotli.Decompressor()
assert b"".join(reader.process(small[at : at + 7]) for at in range(0, len(small), 7)) == data
try:
    brotli.decompress(small[:-3])
except brotli.error:
    pass
else:
    raise AssertionError("half of it was accepted")
