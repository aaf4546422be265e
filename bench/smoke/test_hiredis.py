"""Answers of a Redis server are read in whatever parts they come; commands are packed."""

import hiredis

reader = hiredis.Reader()
for part in (b"*3\r\n$5\r\nplat", b"e\r\n:4", b"2\r\n$-1\r\n"):
    reader.feed(part)
assert reader.gets() == [b"plate", 42, None]
assert reader.gets() is False
reader.feed(b"-ERR no such key\r\n")
assert isinstance(reader.gets(), hiredis.ReplyError)
assert hiredis.pack_command(("SET", "well", 7)) == b"*3\r\n$3\r\nSET\r\n$4\r\nwell\r\n$1\r\n7\r\n"
