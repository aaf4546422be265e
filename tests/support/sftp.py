"""OpenSSH's own server on this machine, for a key made for the test."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paramiko
import pytest

from crosswheel.toolchain.host_programs import turn_of_apt

_PROGRAM = "/usr/sbin/sshd"
_CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/key.pub
StrictModes no
PidFile none
UsePAM no
PermitRootLogin yes
Subsystem sftp internal-sftp
"""


@contextmanager
def sftp_server(folder: Path) -> Iterator[str]:
    """Start sshd on a free port, and give its URL, ``sftp://…``, to which an absolute path is appended."""
    _require()
    for name in ("host", "key"):
        key = paramiko.RSAKey.generate(2048)
        key.write_private_key_file(str(folder / name))
        (folder / f"{name}.pub").write_text(f"{key.get_name()} {key.get_base64()}\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "known").write_text(f"[127.0.0.1]:{port} " + (folder / "host.pub").read_text())
    (folder / "config").write_text(_CONFIG.format(port=port, folder=folder))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    command = [_PROGRAM, "-D", "-e", "-f", str(folder / "config")]
    with (folder / "log").open("w") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            _wait(port, process)
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("CROSSWHEEL_SFTP_KEY", str(folder / "key"))
                patch.setenv("CROSSWHEEL_SFTP_KNOWN_HOSTS", str(folder / "known"))
                yield f"sftp://{getpass.getuser()}@127.0.0.1:{port}"
        finally:
            process.terminate()


def _require() -> None:
    if not Path(_PROGRAM).exists():
        if os.geteuid() == 0 and shutil.which("apt-get"):
            with turn_of_apt():
                subprocess.run(["apt-get", "update", "-qq"], check=True)
                subprocess.run(["apt-get", "install", "-y", "-qq", "openssh-server"], check=True)
            return
        reason = f"there is no {_PROGRAM}, and only root on Debian can have it installed by this test"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert process.poll() is None, "sshd did not start"
            assert time.monotonic() < deadline
