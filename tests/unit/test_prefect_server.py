"""What the tests ask of a Prefect server: one that is busy for a moment is asked again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from support.prefect_server import ask


class _Server(ThreadingHTTPServer):
    """Answers with each of its statuses in turn."""

    statuses: Iterator[int]


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(next(self.server.statuses))
        self.end_headers()
        self.wfile.write(b'{"id": 1}')

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[_Server]:
    with _Server(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_busy_server_is_asked_again(server: _Server) -> None:
    server.statuses = iter((503, 503, 201))
    assert ask(f"http://127.0.0.1:{server.server_port}", "/runs") == {"id": 1}


def test_one_that_refuses_is_not(server: _Server) -> None:
    server.statuses = iter((422, 201))
    with pytest.raises(httpx.HTTPStatusError, match="422"):
        ask(f"http://127.0.0.1:{server.server_port}", "/runs")
