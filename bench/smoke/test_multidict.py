"""A header may have several values, whatever its case."""

import multidict
from multidict import _multidict

assert multidict.CIMultiDict is _multidict.CIMultiDict
headers = multidict.CIMultiDict([("Accept", "a"), ("ACCEPT", "b"), ("Host", "robot")])
assert headers.getall("accept") == ["a", "b"]
view = multidict.CIMultiDictProxy(headers)
headers["HOST"] = "flex"
assert view["host"] == "flex"
del headers["accept"]
assert len(view) == 1
for number in range(1000):
    headers.add(f"X-{number}", str(number))
assert view["x-999"] == "999"
