"""A map that was changed leaves the older one as it was, by the part that is C."""

from immutables import Map, _map

assert _map.__file__.endswith(".so")
first = Map(volume=10)
with first.mutate() as change:
    change["well"] = "A1"
    del change["volume"]
    second = change.finish()
assert (dict(first), dict(second)) == ({"volume": 10}, {"well": "A1"})
many = Map((number, -number) for number in range(5000))
assert many[4321] == -4321
assert hash(many.set(0, 1).set(0, 0)) == hash(many)
