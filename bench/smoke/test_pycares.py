"""Servers are named, and errors have words."""

import pycares

channel = pycares.Channel(servers=["127.0.0.1"], timeout=0.1, tries=1)
assert [server.partition(":")[0] for server in channel.servers] == ["127.0.0.1"]
channel.cancel()
channel.close()
assert pycares.errno.strerror(pycares.errno.ARES_ENOTFOUND)
