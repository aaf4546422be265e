"""Finds credentials for registries in the environment, in netrc or with keyring; only their server gets them."""

from __future__ import annotations

import functools
import netrc
import os
import shutil
import subprocess
from collections.abc import Generator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from crosswheel.private_index import PrivateIndex

_KEYRING_SECONDS = 60  # it may ask the user
_Login = tuple[str, str]


class RegistryAuth(httpx.Auth):
    """Adds a server's credentials to requests to it, if there are any; a server that it redirects to gets none."""

    def __init__(self, indexes: Sequence[PrivateIndex]) -> None:
        self._indexes = {_server(index.url): index for index in indexes}

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Yield the request, with credentials unless its URL already has some."""
        if "Authorization" not in request.headers:
            url = request.url
            login = (url.username, url.password) if url.userinfo else self._login(str(url))
            if login:
                yield from httpx.BasicAuth(*login).auth_flow(request)
                return
        yield request

    def _login(self, url: str) -> _Login | None:
        index = self._indexes.get(_server(url))
        stated = _of_environment(index) if index else None
        return (
            stated or _of_netrc(urlsplit(url).hostname or "") or (_of_keyring(index.url) if index else None)
        )


def _server(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _of_environment(index: PrivateIndex) -> _Login | None:
    user, password = (os.environ.get(f"{index.variable}_{what}") for what in ("USERNAME", "PASSWORD"))
    return (user or "", password or "") if user or password else None


def _of_netrc(host: str) -> _Login | None:
    path = Path(os.environ.get("NETRC") or Path.home() / ".netrc")
    try:
        found = netrc.netrc(str(path)).authenticators(host)
    except (OSError, netrc.NetrcParseError):
        return None
    return (found[0], found[2] or "") if found else None


@functools.cache
def _of_keyring(url: str) -> _Login | None:
    """Return the password that the program ``keyring`` has, if uv is configured to ask it, too."""
    program = shutil.which("keyring")
    if os.environ.get("UV_KEYRING_PROVIDER") != "subprocess" or program is None:
        return None
    words = [program, "--mode", "creds", "get", url]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_KEYRING_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    user, _, password = done.stdout.strip().partition("\n")
    return (user, password.strip()) if done.returncode == 0 and password else None
