"""Frames have no zero byte, and are read back, by the part that is C."""

from cobs import cobs, cobsr
from cobs.cobs import _cobs_ext

data = b"\x00moves\x00" + bytes(range(256)) * 3
for codec in (cobs, cobsr):
    frame = codec.encode(data)
    assert 0 not in frame
    assert codec.decode(frame) == data
assert _cobs_ext.encode(b"\x00") == b"\x01\x01"
