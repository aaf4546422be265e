"""A table is read, grouped, joined, and its times are told apart."""

import io

import pandas as pd

text = "well,volume,when\nA1,10.5,2026-01-02 03:04:05\nA1,1.5,2026-01-02 04:00:00\nB2,2,2026-01-03 00:00:00\n"
table = pd.read_csv(io.StringIO(text), parse_dates=["when"])
assert table.groupby("well").volume.sum().to_dict() == {"A1": 12.0, "B2": 2.0}
assert table.when.dt.day.tolist() == [2, 2, 3]
assert table.set_index("when").resample("1D").volume.sum().tolist() == [12.0, 2.0]
other = pd.DataFrame({"well": ["A1", "B2"], "liquid": ["water", "oil"]})
assert table.merge(other, on="well").liquid.tolist() == ["water", "water", "oil"]
assert (pd.Series([2**40, 1]) * 2).sum() == 2**41 + 2
assert table.volume.rolling(2).mean().iloc[-1] == 1.75
assert pd.read_json(io.StringIO(table.to_json())).shape == table.shape
