"""Lists are grouped and functions put together, by the parts that were compiled."""

import cytoolz
from cytoolz import curry, itertoolz

assert itertoolz.__file__.endswith(".so")
assert cytoolz.groupby(len, ["A1", "A10", "B2"]) == {2: ["A1", "B2"], 3: ["A10"]}
assert list(cytoolz.sliding_window(2, range(4))) == [(0, 1), (1, 2), (2, 3)]
assert cytoolz.pipe(4, lambda n: n + 1, str) == "5"
assert curry(lambda a, b: a * b)(6)(7) == 42
assert cytoolz.merge_with(sum, {"a": 1}, {"a": 2, "b": 3}) == {"a": 3, "b": 3}
