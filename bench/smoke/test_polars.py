"""A table is grouped, joined and sorted, lazily and at once."""

import polars as pl

table = pl.DataFrame({"well": ["A1", "A1", "B2"], "volume": [10.5, 1.5, 2.0], "count": [2**40, 1, 2]})
sums = table.group_by("well").agg(pl.col("volume").sum(), pl.col("count").max()).sort("well")
assert sums.rows() == [("A1", 12.0, 2**40), ("B2", 2.0, 2)]
assert table.lazy().filter(pl.col("volume") > 1.7).select(pl.len()).collect().item() == 2
other = pl.DataFrame({"well": ["A1"], "liquid": ["water"]})
assert table.join(other, on="well", how="left")["liquid"].to_list() == ["water", "water", None]
