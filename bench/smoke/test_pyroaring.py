"""Sets of numbers are joined, cut, and kept as bytes."""

from pyroaring import BitMap, BitMap64

even, third = BitMap(range(0, 100_000, 2)), BitMap(range(0, 100_000, 3))
assert len(even & third) == 16_667
assert len(even | third) == 66_667
assert BitMap.deserialize(even.serialize()) == even
assert even.rank(10) == 6
assert even[5] == 10
assert list(BitMap64([2**40, 1])) == [1, 2**40]
