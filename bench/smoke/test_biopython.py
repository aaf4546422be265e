"""Sequences are aligned and clustered, by the parts that are C."""

from io import StringIO

from Bio import Align, SeqIO
from Bio.Seq import Seq

assert str(Seq("ATGGCC").reverse_complement()) == "GGCCAT"
assert str(Seq("ATGGCC").translate()) == "MA"
aligner = Align.PairwiseAligner(match_score=2, mismatch_score=-1, open_gap_score=-2, extend_gap_score=-0.5)
(best, *_) = aligner.align("GATTACA", "GATACA")
assert best.score == 10, best.score
(record,) = SeqIO.parse(StringIO(">plate A1\nACGT\n"), "fasta")
assert record.id == "plate"
assert len(record) == 4
