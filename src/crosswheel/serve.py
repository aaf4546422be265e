"""Serves the static site over HTTP, read-only, for a laboratory's own network."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

import uvicorn
from packaging.utils import canonicalize_name
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from crosswheel.errors import UsageError

_JSON = "application/vnd.pypi.simple.v1+json"
_HTML = "application/vnd.pypi.simple.v1+html"
# In the server's order of preference, for clients that accept several equally (PEP 691).
_FORMS = {
    "text/html": ("index.html", "text/html"),
    _JSON: ("index.json", _JSON),
    "application/vnd.pypi.simple.latest+json": ("index.json", _JSON),
    _HTML: ("index.html", _HTML),
    "application/vnd.pypi.simple.latest+html": ("index.html", _HTML),
}
_TEXTS = {
    ".html": "text/html",
    ".json": "application/json",
    ".provenance": "application/json",
    ".css": "text/css",
    ".js": "text/javascript",
    ".metadata": "text/plain",
    ".txt": "text/plain",
}
_HEADERS = {
    # A local index may change at any time: clients cache responses and revalidate them.
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_COMPRESSED = frozenset((*_TEXTS.values(), _JSON, _HTML))
_COMPRESSED_FROM = 1000  # bytes
_SECONDS_TO_FINISH = 10
# Longer than a robot takes to unpack one wheel before it requests the next.
_SECONDS_KEPT = 75


def serve(site: Path, host: str, port: int, announce: Callable[[str], None]) -> None:
    """Serve a site until the process receives SIGINT or SIGTERM, then finish the open requests.

    Args:
        site: the folder of a site that :func:`crosswheel.index.site.write_site` made.
        host: the address to listen on; ``0.0.0.0`` for all addresses.
        port: the port; 0 for any free one.
        announce: called with the URL of the index once the server listens, then with the URL of each target's index
            if there are several.

    Raises:
        UsageError: the folder has no index, or the server cannot listen on the address.
    """
    if not (site / "simple" / "index.html").is_file():
        raise UsageError(
            f"there is no index in {site}",
            hint="make one with `crosswheel index`, or give another --index-tree-root.",
        )
    try:
        listener = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        )
    except OSError as error:
        raise UsageError(
            f"the server cannot listen on {host} port {port}: {error.strerror or error}",
            hint="choose another --port (0 takes any that is free), or an address of this machine as --host.",
        ) from error
    config = uvicorn.Config(
        application(site),
        log_level="warning",
        timeout_graceful_shutdown=_SECONDS_TO_FINISH,
        timeout_keep_alive=_SECONDS_KEPT,
        server_header=False,
    )
    # uvicorn finishes the open requests, and then raises the signal again.
    with listener, contextlib.suppress(KeyboardInterrupt):
        name = _address(host)
        address = f"http://{f'[{name}]' if ':' in name else name}:{listener.getsockname()[1]}"
        for index in ("simple", *_indexes_of_targets(site)):
            announce(f"{address}/{index}/")
        uvicorn.Server(config).run(sockets=[listener])


def _address(host: str) -> str:
    """Return an address at which other machines reach this server; ``host`` may stand for all addresses."""
    for every, elsewhere in (("0.0.0.0", "192.0.2.1"), ("::", "2001:db8::1")):
        if host == every:
            # Send nothing: only ask the system for its outgoing address, by a reserved one (RFC 5737, RFC 3849).
            with socket.socket(
                socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM
            ) as probe:
                try:
                    probe.connect((elsewhere, 9))
                except OSError:
                    return socket.gethostname()
                return str(probe.getsockname()[0])
    return host


def _indexes_of_targets(site: Path) -> list[str]:
    """Return the paths of the targets' indexes in a site; none if all wheels are for one target."""
    indexes = sorted(f"{page.parents[1].name}/simple" for page in site.glob("[!.]*/simple/index.html"))
    indexes = [index for index in indexes if index != "simple/simple"]
    return indexes if len(indexes) > 1 else []


def application(site: Path) -> Starlette:
    """Return the ASGI application that serves a site to ``GET`` and ``HEAD`` requests, and ``/healthz``.

    The site may be a symbolic link that is changed between two requests.
    """

    def health(request: Request) -> Response:
        if (site / "simple" / "index.html").is_file():
            return PlainTextResponse("ok\n")
        return PlainTextResponse("there is no index\n", status_code=503)

    return Starlette(routes=[Route("/healthz", health), Route("/{path:path}", _Site(site), methods=["GET"])])


class _Site:
    """Serves the files of a folder."""

    def __init__(self, site: Path) -> None:
        self._site = site
        self._files = StaticFiles(directory=site)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await run_in_threadpool(self._answer, Request(scope))
        response.headers.update(_HEADERS)
        # Compress only texts: wheels are compressed already, and clients request ranges of them.
        text = response.headers.get("content-type", "").partition(";")[0] in _COMPRESSED
        app: ASGIApp = GZipMiddleware(response, _COMPRESSED_FROM) if text else response
        await app(scope, receive, send)

    def _answer(self, request: Request) -> Response:
        path, root = _safe_path(request.scope["path"]), self._site.resolve()
        redirect = _redirection(root, path)
        if redirect is not None:
            return RedirectResponse(quote(redirect), status_code=301)
        headers = {}
        content_type = _TEXTS.get(Path(path).suffix)
        if path.endswith("/") or not path:
            path += "index.html"
            content_type = "text/html"
            if _is_of_simple(path.split("/")):
                file, content_type = _negotiated(request.headers.get("accept", ""))
                path = path.replace("index.html", file)
                headers["Vary"] = "Accept"
        opened = _find(root, path)
        if content_type is None:
            return self._files.file_response(*opened, request.scope)
        return _text(opened[0].read_bytes(), content_type, request.headers.get("if-none-match", ""), headers)


def _safe_path(path: str) -> str:
    """Return a request's path relative to the site; raise 404 if it names a hidden file or leads elsewhere."""
    parts = path[1:].split("/")
    folders = parts[:-1] if parts[-1] == "" else parts
    # Hidden files are internal; ".", ".." and other systems' separators may lead out of the site.
    if any(not part or part.startswith(".") or set(part) & set("\\:\0") for part in folders):
        raise HTTPException(404)
    return "/".join(parts)


def _redirection(root: Path, path: str) -> str | None:
    """Return the redirect for a page requested without its trailing slash, or by a name not normalised (PEP 503).

    It is relative to the request (RFC 9110), because a proxy may serve this site below a prefix.
    """
    parts = path.split("/")
    if not _is_of_simple(parts):
        return None
    index, below = ("simple", parts[1:]) if parts[0] == "simple" else (f"{parts[0]}/simple", parts[2:])
    if len(below) > 2 or (len(below) == 2 and below[1]):
        return None
    name = canonicalize_name(below[0]) if below else ""
    page = f"{index}/{name}/" if name else f"{index}/"
    if page == path or not (root / page).is_dir():
        return None
    return "../" * (len(below) - 1) + f"{name}/" if name else "simple/"


def _is_of_simple(parts: Sequence[str]) -> bool:
    """Tell whether a path, given by its parts, lies in an index: that of all targets, or that of one."""
    return "simple" in parts[:2] and parts[0] not in ("project", "assets")


def _find(root: Path, path: str) -> tuple[Path, os.stat_result]:
    """Return a file of the site; raise 404 if there is none, or if links lead out of the site."""
    try:
        file = (root / path).resolve(strict=True)
        status = file.stat()
    except (OSError, ValueError, RuntimeError):
        raise HTTPException(404) from None
    if root not in file.parents or not stat.S_ISREG(status.st_mode):
        raise HTTPException(404)
    return file, status


def _negotiated(accept: str) -> tuple[str, str]:
    """Return the file name and content type of the form of a page that the client prefers (PEP 691)."""
    qualities = _qualities(accept) or {"*/*": 1.0}

    def quality(form: str) -> float:
        patterns = (form, f"{form.split('/')[0]}/*", "*/*")  # the most specific one counts
        return next((qualities[pattern] for pattern in patterns if pattern in qualities), 0.0)

    best = max(_FORMS, key=quality)
    if not quality(best):
        raise HTTPException(406)
    return _FORMS[best]


def _qualities(accept: str) -> dict[str, float]:
    """Return the media types in an Accept header with their quality values, 0 to 1 (RFC 9110)."""
    qualities = {}
    for item in filter(None, (item.strip() for item in accept.split(","))):
        kind, *parameters = (part.strip() for part in item.lower().split(";"))
        weight = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        try:
            qualities[kind] = float(weight)
        except ValueError:
            qualities[kind] = 0.0
    return qualities


def _text(data: bytes, content_type: str, known: str, headers: dict[str, str]) -> Response:
    # A weak tag, because the same page may be sent compressed.
    tag = hashlib.sha256(data).hexdigest()[:32]
    headers["ETag"] = f'W/"{tag}"'
    if f'"{tag}"' in known or known.strip() == "*":
        return Response(status_code=304, headers=headers)
    return Response(data, headers=headers, media_type=content_type)
