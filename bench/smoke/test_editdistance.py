"""Words and lists have distances."""

import editdistance

assert editdistance.eval("pipette", "pipete") == 1
assert editdistance.eval(["a", "b", "c"], ["a", "c"]) == 1
assert editdistance.eval("", "abc" * 50) == 150
