"""The backend in C is the one that is used, and agrees with the Python one."""

import ijson
from ijson.backends import python, yajl2_c

assert ijson.backend in (yajl2_c, "yajl2_c"), ijson.backend
text = b'{"wells": [{"name": "A1", "volume": 1.5}, {"name": "B1", "volume": 20}], "done": true}'
assert list(ijson.items(text, "wells.item")) == list(python.items(text, "wells.item"))
assert [str(well["volume"]) for well in ijson.items(text, "wells.item")] == ["1.5", "20"]
