"""Downloads files: whole and with the right hash, or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import certifi
import httpx
import truststore
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from crosswheel import __version__
from crosswheel.errors import IntegrityError, NetworkError
from crosswheel.files import new_file, sha256_of
from crosswheel.settings import Settings

Progress = Callable[[int, int | None], None]
"""Receives the number of bytes so far, and the total if the server states it."""

_Answer = TypeVar("_Answer")

# Four connections of at most 3 s and the waits between them: without network, the user knows within 15 s.
_TRIES = 4
_TIMEOUT = httpx.Timeout(30, connect=3)
_FIRST_WAIT = 0.25
_PASSING_STATUS = frozenset({429, 500, 502, 503, 504})
# What a resolver answers of a name that does not exist, or has no address (which not every system tells apart). That it
# cannot answer now is EAI_AGAIN.
_NO_SUCH_HOST = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})

_CONNECTION_HINT = (
    "check the connection and the proxy (HTTPS_PROXY), or name a mirror with PIP_INDEX_URL for the "
    "package registry or CROSSWHEEL_GITHUB_URL for GitHub."
)
_CERTIFICATE_HINT = (
    "this network may look into TLS connections: put its certificate into this machine's store (on Debian and Ubuntu: "
    "a .crt file in /usr/local/share/ca-certificates, then update-ca-certificates), or name it in SSL_CERT_FILE."
)
# What Python, uv, cargo and git print when they do not trust a server's certificate.
_UNTRUSTED = ("certificate_verify_failed", "invalid peer certificate", "unknownissuer", "certificate problem",
              "certificate verification failed")  # fmt: skip
# The certificate stores of Debian, Red Hat, SUSE and Alpine.
_STORES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def new_client(auth: httpx.Auth | None = None) -> httpx.Client:
    """Return an HTTP client. Several threads may use it; the caller closes it."""
    # As in pip: trust the system's certificates and, where it has no store, Mozilla's.
    trust = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trust.load_verify_locations(certifi.where())
    headers = {"User-Agent": f"crosswheel/{__version__}"}
    return httpx.Client(follow_redirects=True, timeout=_TIMEOUT, headers=headers, verify=trust, auth=auth)


def has_system_trust() -> bool:
    """Tell whether this machine has a store of trusted certificates."""
    configured = (os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
    return any(configured) or any(map(os.path.exists, _STORES))


def is_absent(error: NetworkError) -> bool:
    """Tell whether the server answered that it has no such file."""
    cause = error.__cause__
    return isinstance(cause, httpx.HTTPStatusError) and cause.response.status_code == httpx.codes.NOT_FOUND


def connection_hint(message: str, fallback: str) -> str:
    """Return the hint for a failed connection, chosen by a program's error message."""
    return _CERTIFICATE_HINT if any(words in message.lower() for words in _UNTRUSTED) else fallback


def download(
    url: str,
    destination: Path,
    *,
    sha256: str | None,
    settings: Settings,
    progress: Progress | None = None,
    client: httpx.Client | None = None,
) -> Path:
    """Download a file, unless an earlier call did, and return its path.

    Args:
        url: an ``http`` or ``https`` address; redirects are followed.
        destination: the path of the file. Only a complete and verified download replaces a file there.
        sha256: the expected hash. Without one, an existing file is used as it is: it was complete when it was put
            there.
        settings: ``offline`` forbids the download.
        progress: receives the progress of the download.
        client: the HTTP client to use instead of a new one.

    Raises:
        NetworkError: all attempts failed, or offline mode is on.
        IntegrityError: the file has another hash.
        StorageError: the file cannot be written.
    """
    if destination.is_file() and (sha256 is None or sha256_of(destination) == sha256):
        return destination
    if settings.offline:
        raise offline_error(destination.name)
    with contextlib.ExitStack() as stack:
        http = client or stack.enter_context(new_client())
        temporary = stack.enter_context(new_file(destination))
        actual = _with_retries(url, lambda: _receive(http, url, temporary, progress))
        if sha256 is not None and actual != sha256:
            raise IntegrityError(
                f"{destination.name} from {_host(url)} is not what was expected:\n"
                f"    expected sha256 {sha256}\n    received sha256 {actual}",
                hint="a proxy or mirror may have changed it: try again from another network. If the "
                "publisher replaced the file, find out why before changing the hash in the recipe or lock.",
            )
    return destination


def offline_error(missing: str) -> NetworkError:
    """Return the error for a file that is not cached when offline mode forbids the download."""
    return NetworkError(
        f"offline mode is on, and {missing} is not cached",
        hint="run the same command once without CROSSWHEEL_OFFLINE; after that it is cached.",
    )


def get(client: httpx.Client, url: str, *, accept: str) -> httpx.Response:
    """Return the response to a GET request, with its body.

    Args:
        accept: the ``Accept`` header.

    Raises:
        NetworkError: all attempts failed, or the response has an error status other than 404.
    """

    def request() -> httpx.Response:
        response = client.get(url, headers={"Accept": accept})
        if response.status_code != httpx.codes.NOT_FOUND:
            response.raise_for_status()
        return response

    return _with_retries(url, request)


def _with_retries(url: str, request: Callable[[], _Answer]) -> _Answer:
    """Call ``request``, and again after a transient error; return its result."""
    retrying = Retrying(
        stop=stop_after_attempt(_TRIES),
        wait=wait_exponential(multiplier=_FIRST_WAIT),
        retry=retry_if_exception(_may_pass),
        reraise=True,
    )
    try:
        return retrying(request)
    except httpx.HTTPStatusError as error:
        status = f"{error.response.status_code} {error.response.reason_phrase}"
        raise NetworkError(
            f"{_name(url)} could not be downloaded: {_host(url)} answered {status}", hint=_CONNECTION_HINT
        ) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = str(error) or type(error).__name__
        raise NetworkError(
            f"{_name(url)} could not be downloaded from {_host(url)}: {reason}",
            hint=connection_hint(reason, _CONNECTION_HINT),
        ) from error


def _receive(client: httpx.Client, url: str, path: Path, progress: Progress | None) -> str:
    """Write the body of a response to ``path`` and return its SHA-256."""
    digest = hashlib.sha256()
    with client.stream("GET", url) as response, path.open("wb") as stream:
        response.raise_for_status()
        length = response.headers.get("Content-Length")
        total = int(length) if length is not None else None
        # httpx raises a TransportError for a body that is shorter than its Content-Length.
        for block in response.iter_bytes():
            digest.update(block)
            stream.write(block)
            if progress is not None:
                progress(response.num_bytes_downloaded, total)
    return digest.hexdigest()


def _may_pass(error: BaseException) -> bool:
    """Tell whether a request that failed may succeed when it is tried again."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code in _PASSING_STATUS
    if not isinstance(error, httpx.TransportError) or isinstance(error, httpx.UnsupportedProtocol):
        return False
    cause = _system_error(error) if isinstance(error, httpx.ConnectError) else None
    return not (isinstance(cause, socket.gaierror) and cause.errno in _NO_SUCH_HOST)


def _system_error(error: BaseException) -> OSError | None:
    """Return the system's error that led to another: httpx wraps httpcore's error, which wraps it."""
    cause: BaseException | None = error
    # The first is this request's. Below it is what the caller may be handling, such as another mirror's failure.
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    return cause


def _host(url: str) -> str:
    # Leave out the rest of the URL, which may contain a password.
    try:
        return httpx.URL(url).host or url
    except httpx.InvalidURL:
        return url


def _name(url: str) -> str:
    return url.split("?")[0].rstrip("/").rpartition("/")[2]
