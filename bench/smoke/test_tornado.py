"""A web server answers over a socket; the compiled part masks frames of WebSocket."""

import asyncio
from pathlib import Path

import tornado.httpserver
import tornado.netutil
import tornado.speedups
import tornado.web

masked = tornado.speedups.websocket_mask(b"\x01\x02\x03\x04", b"robotrobot")
assert tornado.speedups.websocket_mask(b"\x01\x02\x03\x04", masked) == b"robotrobot"
assert masked[0] == ord("r") ^ 1


class Health(tornado.web.RequestHandler):
    def get(self):
        self.write({"status": "fine", "asked": self.get_argument("name")})


async def main():
    server = tornado.httpserver.HTTPServer(tornado.web.Application([("/health", Health)]))
    server.add_socket(tornado.netutil.bind_unix_socket("socket"))
    reader, writer = await asyncio.open_unix_connection("socket")
    writer.write(b"GET /health?name=ot2 HTTP/1.1\r\nHost: robot\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 200 OK"), answer
    assert b'"asked": "ot2"' in answer, answer
    server.stop()


asyncio.run(main())
Path("socket").unlink()
