"""What is compressed with a dictionary is read back, and damage is noticed."""

from backports import zstd

plates = [f'{{"plate": {number}, "well": "A{number % 12}"}}'.encode() * 4 for number in range(400)]
dictionary = zstd.train_dict(plates, 2048)
data = b"".join(plates)
small = zstd.compress(data, level=9, zstd_dict=dictionary)
assert len(small) < len(data) // 10
assert zstd.decompress(small, zstd_dict=dictionary) == data
try:
    zstd.decompress(b"(\xb5/\xfd" + bytes(20))
except zstd.ZstdError:
    pass
else:
    raise AssertionError("damage was not noticed")
