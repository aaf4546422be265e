"""The C implementation is used: libpq takes connection strings apart, values are converted, no server is told so."""

import psycopg
from psycopg import pq
from psycopg.types.json import Json

assert pq.__impl__ == "c"
assert pq.version() >= 120000
assert psycopg.conninfo.conninfo_to_dict("host=robot port=5433 dbname='a b'")["dbname"] == "a b"
transformer = psycopg.adapt.Transformer()
dumped = [
    transformer.get_dumper(v, psycopg.adapt.PyFormat.TEXT).dump(v) for v in (1, 2**40, 0.5, Json({"a": [1]}))
]
assert dumped == [b"1", b"1099511627776", b"0.5", b'{"a": [1]}']
assert pq.Escaping().unescape_bytea(b"\\x00ff") == b"\x00\xff"
try:
    psycopg.connect("host=/nowhere connect_timeout=5")
except psycopg.OperationalError as error:
    assert "/nowhere/.s.PGSQL.5432" in str(error)
else:
    raise AssertionError("it connected to no server")
