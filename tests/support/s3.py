"""A server that speaks S3's protocol, on this machine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import s3fs

_PROGRAM = """
import sys
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
moto = DomainDispatcherApplication(create_backend_app)
def application(environ, start_response):
    if sys.argv[1] == "unconditional" and environ["REQUEST_METHOD"] in ("PUT", "POST"):
        environ.pop("HTTP_IF_NONE_MATCH", None)
    return moto(environ, start_response)
server = make_server("127.0.0.1", 0, application, threaded=True)
print(f"http://127.0.0.1:{server.port}", flush=True)
server.serve_forever()
"""


@contextmanager
def s3_server(environment: pytest.MonkeyPatch, *, conditions: bool = True) -> Iterator[subprocess.Popen[str]]:
    """Start a server, and point S3 clients of this process and its children to it; there is a bucket ``robots``.

    Without ``conditions`` it passes over ``If-None-Match`` where something is stored, as some servers do.
    """
    kind = "conditional" if conditions else "unconditional"
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _PROGRAM, kind],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        assert process.stdout
        url = next(line.strip() for line in process.stdout if line.startswith("http"))
        settings = {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "id",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        for name, value in settings.items():
            environment.setenv(name, value)
        s3fs.S3FileSystem(skip_instance_cache=True).mkdir("robots")
        try:
            yield process
        finally:
            process.kill()
