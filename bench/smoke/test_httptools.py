"""Requests, responses and addresses are parsed; what is no request is refused."""

import httptools


class Listener:
    def __init__(self):
        self.headers = []
        self.body = b""

    def on_header(self, name, value):
        self.headers.append((name, value))

    def on_body(self, body):
        self.body += body


listener = Listener()
parser = httptools.HttpRequestParser(listener)
parser.feed_data(b"POST /runs?all=1 HTTP/1.1\r\nHost: robot\r\nContent-Length: 5\r\n\r\nhel")
parser.feed_data(b"lo")
assert (parser.get_method(), parser.get_http_version()) == (b"POST", "1.1")
assert (listener.headers, listener.body) == ([(b"Host", b"robot"), (b"Content-Length", b"5")], b"hello")
address = httptools.parse_url(b"http://robot:31950/health?a=b")
assert (address.host, address.port, address.path, address.query) == (b"robot", 31950, b"/health", b"a=b")
try:
    httptools.HttpRequestParser(Listener()).feed_data(b"NONSENSE\r\n\r\n")
except httptools.HttpParserError:
    pass
else:
    raise AssertionError("nonsense was accepted")
