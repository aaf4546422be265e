"""Fields of single bits are packed and read, by the part that is C."""

from bitstruct import c

packed = c.pack("u1u3u4s16f32", 1, 2, 3, -4, 1.5)
assert packed == b"\xa3\xff\xfc\x3f\xc0\x00\x00"
assert c.unpack("u1u3u4s16f32", packed) == (1, 2, 3, -4, 1.5)
