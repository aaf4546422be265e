"""Values are packed as msgpack says, and read back."""

import dataclasses

import ormsgpack


@dataclasses.dataclass
class Move:
    axis: str
    to: float


packed = ormsgpack.packb({"moves": [Move("x", 1.5), Move("z", -2.0)], "data": b"\x00\xff", "n": 2**40})
assert packed[0] == 0x83
assert ormsgpack.unpackb(packed) == {
    "moves": [{"axis": "x", "to": 1.5}, {"axis": "z", "to": -2.0}],
    "data": b"\x00\xff",
    "n": 2**40,
}
