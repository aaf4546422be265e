"""A plain web server over a folder, as a laboratory may have one: no more than files."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass(frozen=True)
class StaticServer:
    """Where it is, and which paths it gave."""

    url: str
    given: list[str] = field(default_factory=list)


@contextmanager
def serving(folder: Path) -> Iterator[StaticServer]:
    """Serve a folder on 127.0.0.1 while the block lasts."""
    given: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_request(self, code: object = "-", size: object = "-") -> None:
            if code == 200:
                given.append(self.path)

        def log_message(self, format: str, *args: object) -> None:
            """Stay silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield StaticServer(f"http://127.0.0.1:{server.server_port}", given)
        finally:
            server.shutdown()
            thread.join()
