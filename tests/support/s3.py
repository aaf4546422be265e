"""A server that speaks S3's protocol, on this machine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import s3fs

_PROGRAM = """
import sys, time
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", port=0)
server.start()
print("http://%s:%d" % server.get_host_and_port(), flush=True)
sys.stdin.read()
"""


@contextmanager
def s3_server(environment: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[str]]:
    """Start a server, and point S3 clients of this process and its children to it; there is a bucket ``robots``."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _PROGRAM],
        stdin=subprocess.PIPE,
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
