"""What was not used longest goes first, and somebody is told."""

from lru import LRU

gone = []
kept = LRU(2, callback=lambda key, value: gone.append((key, value)))
kept["A1"], kept["B2"] = 1, 2
assert kept["A1"] == 1
kept["C3"] = 3
assert gone == [("B2", 2)]
assert kept.keys() == ["C3", "A1"]
assert kept.get_stats()[0] >= 1
