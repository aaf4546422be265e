"""It is linked with libpq, quotes what goes into SQL, and says that no server is there."""

import psycopg2
from psycopg2 import extensions, sql

assert extensions.libpq_version() >= 150000
assert extensions.adapt("it's").getquoted() == b"'it''s'"
assert extensions.parse_dsn("postgresql://robot@head/runs") == {
    "user": "robot",
    "host": "head",
    "dbname": "runs",
}
assert isinstance(sql.Identifier("a b"), sql.Composable)
try:
    psycopg2.connect("host=127.0.0.1 port=9 dbname=runs connect_timeout=20")
except psycopg2.OperationalError as error:
    assert "127.0.0.1" in str(error)
else:
    raise AssertionError("there is no server")
