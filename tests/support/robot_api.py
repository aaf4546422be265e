"""A stand-in for the HTTP API of an OT-2's own server: the same paths and shapes, and no robot."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit


@dataclass
class RobotApi:
    """A running server: its address, and what it was asked to do, in order."""

    url: str = ""
    done: list[str] = field(default_factory=list)

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Return the status and the body of an answer."""
        if (method, path) == ("GET", "/health"):
            return 200, {"name": "stand-in", "robot_model": "OT-2 Standard", "api_version": "8.2.0"}
        if (method, path) == ("POST", "/robot/lights"):
            self.done.append(f"lights {'on' if body['on'] else 'off'}")
            return 200, body
        if (method, path) == ("POST", "/runs"):
            return 201, {"data": {"id": "run-1", "status": "idle", "current": True}}
        if (method, path) == ("POST", "/runs/run-1/commands"):
            self.done.append(str(body["data"]["commandType"]))
            return 201, {"data": {"id": "command-1", **body["data"], "status": "succeeded"}}
        return 404, {"errors": [{"id": "NotFound", "title": f"{method} {path}"}]}


@contextmanager
def robot_api() -> Iterator[RobotApi]:
    """Serve the API on 127.0.0.1 while the block lasts."""
    api = RobotApi()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            # As the robot's server: who does not name a version of the API is refused.
            status, answer = 422, {"errors": [{"id": "OutdatedAPIVersion"}]}
            if self.headers["Opentrons-Version"]:
                text = self.rfile.read(int(self.headers["Content-Length"] or 0))
                path = urlsplit(self.path).path
                status, answer = api.answer(self.command, path, json.loads(text) if text else None)
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        api.url = f"http://127.0.0.1:{server.server_port}"
        Thread(target=server.serve_forever, daemon=True).start()
        yield api
        server.shutdown()
