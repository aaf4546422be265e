"""What goes out as JSON and MessagePack comes back as it was declared; what does not fit is refused."""

import msgspec


class Run(msgspec.Struct):
    well: str
    volume: float
    tips: list[int] = []


run = Run("A1", 12.5, [1, 2**40])
assert msgspec.json.decode(msgspec.json.encode(run), type=Run) == run
assert msgspec.msgpack.decode(msgspec.msgpack.encode(run), type=Run) == run
assert msgspec.json.encode(run) == b'{"well":"A1","volume":12.5,"tips":[1,1099511627776]}'
try:
    msgspec.json.decode(b'{"well": 5, "volume": 1}', type=Run)
except msgspec.ValidationError as error:
    assert "$.well" in str(error)
else:
    raise AssertionError("a wrong type was accepted")
