"""Each way of compressing is read back, some of them by the standard library."""

import gzip
import zlib

import cramjam

data = b"aspirate dispense " * 500
for codec in (cramjam.snappy, cramjam.lz4, cramjam.brotli, cramjam.zstd, cramjam.bzip2):
    small = bytes(codec.compress(data))
    assert len(small) < len(data) // 2
    assert bytes(codec.decompress(small)) == data
assert gzip.decompress(bytes(cramjam.gzip.compress(data))) == data
assert bytes(cramjam.zlib.decompress(zlib.compress(data))) == data
