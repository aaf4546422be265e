"""Runs a local server between uv and private registries, so that each package comes from its own registry alone.

uv asks this server first. For a package of a private registry it passes on that registry's answer, even an empty one,
so that uv never looks for the package elsewhere. For every other package it answers "not found", so that no private
registry is asked for it.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
from packaging.utils import canonicalize_name

from crosswheel.errors import CrosswheelError
from crosswheel.private_index import index_of
from crosswheel.registry import Registry
from crosswheel.settings import Settings

_JSON = "application/vnd.pypi.simple.v1+json"


@dataclass
class _Gateway:
    """The server's state: the real URL of each file that it listed, and the errors of registries."""

    registry: Registry
    settings: Settings
    token: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    urls: dict[str, str] = field(default_factory=dict)
    faults: list[CrosswheelError] = field(default_factory=list)

    def page(self, project: str) -> dict[str, Any]:
        """Return the page of a private registry's project (PEP 691)."""
        files = [
            file for release in self.registry.releases(project, missing_ok=True).values() for file in release
        ]
        self.urls.update({file.filename: file.url for file in files})
        entries = [
            {
                "filename": file.filename,
                "url": f"/{self.token}/file/{file.filename}",
                "hashes": {"sha256": file.sha256},
                "requires-python": file.requires_python,
                "yanked": file.yanked_reason or file.yanked,
                "size": file.size or 0,
                "core-metadata": file.has_metadata,
                **({"upload-time": file.upload_time.isoformat()} if file.upload_time else {}),
            }
            for file in files
        ]
        return {"meta": {"api-version": "1.1"}, "name": project, "versions": [], "files": entries}


@contextlib.contextmanager
def reaching_private(settings: Settings, registry: Registry) -> Iterator[Settings]:
    """Yield settings with which uv reaches the private registries during the block.

    Raises:
        NetworkError: the block failed because a private registry could not be reached.
    """
    if not settings.indexes:
        yield settings
        return
    gateway = _Gateway(registry, settings)
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(gateway)) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield replace(settings, gateway=f"http://127.0.0.1:{server.server_port}/{gateway.token}/simple")
        except CrosswheelError as error:
            if gateway.faults:
                raise gateway.faults[0] from error
            raise
        finally:
            server.shutdown()
            thread.join()


def _handler(gateway: _Gateway) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _, token, kind, *rest = [*unquote(urlsplit(self.path).path).split("/"), "", ""]
            try:
                if secrets.compare_digest(token.encode(), gateway.token.encode()):
                    self._answer(kind, rest[0])
                    return
                self.send_error(404)
            except CrosswheelError as error:
                gateway.faults.append(error)
                self.send_error(502)
            except httpx.HTTPError:
                self.send_error(502)

        def _answer(self, kind: str, name: str) -> None:
            project = canonicalize_name(name)
            if kind == "simple" and index_of(gateway.settings.indexes, project):
                self._send(json.dumps(gateway.page(project)).encode(), _JSON)
            elif kind == "file" and name.removesuffix(".metadata") in gateway.urls:
                url = gateway.urls[name.removesuffix(".metadata")]
                suffix = ".metadata" if name.endswith(".metadata") else ""
                self._send(gateway.registry.content(url + suffix), "application/octet-stream")
            else:
                self.send_error(404)

        def _send(self, body: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing, as the path contains the token."""

    return Handler
