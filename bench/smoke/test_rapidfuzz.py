"""Names that were misspelt are found, by the parts that were compiled."""

from rapidfuzz import fuzz, process
from rapidfuzz.distance import Levenshtein, metrics_cpp

assert metrics_cpp.__file__.endswith(".so")
assert Levenshtein.distance("pipette", "pipete") == 1
assert fuzz.ratio("plate", "plate") == 100
name, score, place = process.extractOne("aspirat", ["dispense", "aspirate", "mix"])
assert (name, place) == ("aspirate", 1)
assert score > 90
