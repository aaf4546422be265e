"""A real HTTP server over a folder, with switches for what servers do wrong."""

from __future__ import annotations

import threading
from base64 import b64encode
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import TypeVar
from urllib.parse import unquote, urlsplit

_TYPES = {".html": "text/html", ".json": "application/vnd.pypi.simple.v1+json"}


Server = TypeVar("Server", bound="LoopbackServer")


class _Server(ThreadingHTTPServer):
    # uv opens some fifty connections at once; one that does not fit waits a second for the kernel to try again.
    request_queue_size = 128


class LoopbackServer:
    """Answers on 127.0.0.1, at ``url``, while the block lasts."""

    url: str

    def handler(self) -> type[BaseHTTPRequestHandler]:
        """Return what answers a request."""
        raise NotImplementedError

    def __enter__(self: Server) -> Server:
        self._server = _Server(("127.0.0.1", 0), self.handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End it: from now on connections to its address are refused."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@dataclass
class FolderServer(LoopbackServer):
    """Serves the files below ``folder`` on 127.0.0.1 while the block lasts.

    A folder is answered with its ``index.json`` (PEP 691) or ``index.html`` (PEP 503).

    Attributes:
        requested: how often each path was asked for.
        failures: path to how many more times it is answered with 500 (-1: always).
        truncated: paths whose body ends early.
        bodies: path to bytes sent instead of the file's.
        password: ``user:password`` that a client has to give; none if empty.
    """

    folder: Path
    requested: Counter[str] = field(default_factory=Counter)
    failures: dict[str, int] = field(default_factory=dict)
    truncated: set[str] = field(default_factory=set)
    bodies: dict[str, bytes] = field(default_factory=dict)
    password: str = ""

    def handler(self) -> type[BaseHTTPRequestHandler]:
        """Return what answers with the files."""
        return _handler(self)

    def body(self, path: str) -> tuple[bytes, str] | None:
        """Return the bytes and content type at a path of the server."""
        if path in self.bodies:
            return self.bodies[path], "application/octet-stream"
        file = self.folder / path.lstrip("/")
        if file.is_dir():
            file = next(
                (file / name for name in ("index.json", "index.html") if (file / name).is_file()), file
            )
        if not file.is_file():
            return None
        return file.read_bytes(), _TYPES.get(file.suffix, "application/octet-stream")

    def fails_now(self, path: str) -> bool:
        """Count a request, and tell whether it shall be answered with 500."""
        self.requested[path] += 1
        left = self.failures.get(path, 0)
        self.failures[path] = left - 1 if left > 0 else left
        return left != 0


def _handler(server: FolderServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            found = server.body(path)
            given = self.headers.get("Authorization", "")
            if server.password and given != f"Basic {b64encode(server.password.encode()).decode()}":
                self.send_error(401)
            elif server.fails_now(path):
                self.send_error(500)
            elif found is None:
                self.send_error(404)
            else:
                self.answer(*found, cut=path in server.truncated)

        def answer(self, body: bytes, content_type: str, *, cut: bool) -> None:
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if cut else body)

        def log_message(self, format: str, *args: object) -> None:
            """Stay silent: a test asks for ``requested``."""

    return Handler
