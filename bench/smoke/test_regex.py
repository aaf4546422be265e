"""Patterns that the standard library lacks are matched: fuzzy ones, nested ones, whole graphemes."""

import regex

assert regex.search(r"(?b)(?:aspirate){e<=2}", "please asprate it").group() == "asprate"
assert regex.fullmatch(r"(\((?:[^()]|(?1))*\))", "(a(b)(c(d)))")
assert regex.findall(r"\X", "e\u0301a") == ["e\u0301", "a"]
assert regex.match(r"(?:(\w)(\d) ?)+", "A1 B2 C3").captures(2) == ["1", "2", "3"]
assert regex.fullmatch(r"\p{Greek}+", "λόγος")
