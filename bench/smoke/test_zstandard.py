"""What is compressed comes back, in one piece and as a stream, with and without a dictionary."""

import io

import zstandard

assert zstandard.backend == "cext"
data = b"aspirate 10 uL from A1; " * 5000
packed = zstandard.ZstdCompressor(level=19).compress(data)
assert len(packed) < len(data) / 100
assert zstandard.ZstdDecompressor().decompress(packed) == data
with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(packed)) as stream:
    assert stream.read(24) == data[:24]
samples = [b"sample %d of the robot's log, all alike but the number" % n for n in range(2000)]
dictionary = zstandard.train_dictionary(4096, samples)
small = zstandard.ZstdCompressor(dict_data=dictionary).compress(samples[7])
assert zstandard.ZstdDecompressor(dict_data=dictionary).decompress(small) == samples[7]
