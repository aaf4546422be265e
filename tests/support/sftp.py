"""A store behind OpenSSH's own server on this machine."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from crosswheel.toolchain.host_programs import turn_of_apt
from support.sshd import PROGRAM, sshd


@contextmanager
def sftp_server(folder: Path) -> Iterator[str]:
    """Start sshd on a free port, and give its URL, ``sftp://…``, to which an absolute path is appended."""
    _require()
    with sshd(folder) as port, pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROSSWHEEL_SFTP_KEY", str(folder / "key"))
        patch.setenv("CROSSWHEEL_SFTP_KNOWN_HOSTS", str(folder / "known"))
        yield f"sftp://{getpass.getuser()}@127.0.0.1:{port}"


def _require() -> None:
    if not PROGRAM.exists():
        if os.geteuid() == 0 and shutil.which("apt-get"):
            with turn_of_apt():
                subprocess.run(["apt-get", "update", "-qq"], check=True)
                subprocess.run(["apt-get", "install", "-y", "-qq", "openssh-server"], check=True)
            return
        reason = f"there is no {PROGRAM}, and only root on Debian can have it installed by this test"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
