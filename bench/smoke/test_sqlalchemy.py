"""Statements are compiled for several databases, and the compiled parts are used."""

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.util import has_compiled_ext

assert has_compiled_ext()
runs = sa.Table(
    "runs", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(20))
)
query = sa.select(runs.c.name).where(runs.c.id > 5).limit(3)
assert "LIMIT %(param_1)s" in str(query.compile(dialect=postgresql.dialect()))
assert "`runs`" not in str(query.compile(dialect=mysql.dialect()))
assert "SERIAL" in str(sa.schema.CreateTable(runs).compile(dialect=postgresql.dialect()))
