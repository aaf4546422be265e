"""Melting temperatures and hairpins of primers are computed, and one that folds is told from one that does not."""

import primer3

melting = primer3.calc_tm("GTAAAACGACGGCCAGT")
assert 54 < melting < 55, melting
hairpin = primer3.calc_hairpin("CCCCCATCCGATCAGGGGG")
assert hairpin.structure_found
assert 60 < hairpin.tm < 70, hairpin.tm
assert not primer3.calc_hairpin("AAAAAAAAAA").structure_found
