"""Frames and blocks are compressed and come back; a damaged frame is refused."""

import lz4.block
import lz4.frame

data = b"dispense 10 uL into B2; " * 5000
frame = lz4.frame.compress(data, content_checksum=True)
assert len(frame) < len(data) / 50
assert lz4.frame.decompress(frame) == data
assert lz4.block.decompress(lz4.block.compress(data, mode="high_compression")) == data
damaged = bytearray(frame)
damaged[40] ^= 0xFF
try:
    lz4.frame.decompress(bytes(damaged))
except RuntimeError:
    pass
else:
    raise AssertionError("a damaged frame was accepted")
