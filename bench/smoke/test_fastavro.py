"""Records go into a file and come back, by the parts that were compiled; another schema is refused."""

import io

import fastavro
from fastavro import _read, _write

assert _read.__file__.endswith(".so")
assert _write.__file__.endswith(".so")
fields = [
    {"name": "well", "type": "string"},
    {"name": "volume", "type": ["null", "double"]},
    {"name": "n", "type": "long"},
]
schema = fastavro.parse_schema({"type": "record", "name": "Run", "fields": fields})
records = [{"well": "A1", "volume": 12.5, "n": 2**40}, {"well": "B2", "volume": None, "n": -1}]
for codec in ("null", "deflate"):
    file = io.BytesIO()
    fastavro.writer(file, schema, records, codec=codec)
    file.seek(0)
    assert list(fastavro.reader(file)) == records
try:
    fastavro.writer(io.BytesIO(), schema, [{"well": 5}])
except (KeyError, TypeError, ValueError):
    pass
else:
    raise AssertionError("a wrong type was accepted")
