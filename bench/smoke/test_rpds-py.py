"""Persistent maps, lists and sets change by giving new ones."""

from rpds import HashTrieMap, HashTrieSet, List

one = HashTrieMap({f"well {n}": n for n in range(1000)})
two = one.insert("well 5", "changed")
assert (one["well 5"], two["well 5"], len(two)) == (5, "changed", 1000)
assert "well 5" not in two.remove("well 5")
assert HashTrieSet([1, 2]) | HashTrieSet([2, 3]) == HashTrieSet([1, 2, 3])
assert list(List([1, 2]).push_front(0)) == [0, 1, 2]
assert hash(HashTrieMap({"a": 1})) == hash(HashTrieMap({"a": 1}))
