"""Words have distances, and a word between others is found."""

import Levenshtein

assert Levenshtein.distance("pipette", "pipete") == 1
assert Levenshtein.editops("A1", "B1") == [("replace", 0, 0)]
assert Levenshtein.median(["plate", "plat", "plates"]) == "plate"
assert Levenshtein.jaro_winkler("dwayne", "duane") > 0.8
