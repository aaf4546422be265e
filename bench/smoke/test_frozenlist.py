"""A list can be changed until it is frozen, and hashed from then on."""

import frozenlist
from frozenlist import _frozenlist

assert frozenlist.FrozenList is _frozenlist.FrozenList
wells = frozenlist.FrozenList(["A1", "B2"])
wells.append("C3")
wells.freeze()
assert hash(wells) == hash(("A1", "B2", "C3"))
try:
    wells.append("D4")
except RuntimeError:
    pass
else:
    raise AssertionError("a frozen list was changed")
assert list(wells) == ["A1", "B2", "C3"]
