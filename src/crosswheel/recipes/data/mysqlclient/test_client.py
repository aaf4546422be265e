"""The client library is inside: it escapes, converts, and says that there is no server."""

import MySQLdb
from MySQLdb import _mysql

assert int(_mysql.get_client_info().split(".")[0]) >= 3
assert _mysql.escape_string(b"it's") == b"it\\'s"
assert _mysql.string_literal("a") == b"'a'"
try:
    MySQLdb.connect(unix_socket="/nowhere/mysqld.sock")
except MySQLdb.OperationalError as error:
    assert error.args[0] == 2002, error
else:
    raise AssertionError("it connected to no server")
