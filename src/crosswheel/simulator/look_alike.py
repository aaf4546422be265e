"""A look-alike robot that runs: read-only root, a small ``/var``, a real ssh server with key login on 127.0.0.1."""

from __future__ import annotations

import contextlib
import io
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from crosswheel.errors import ToolchainError, UsageError
from crosswheel.process import Runner
from crosswheel.simulator.image import LookAlikeImage
from crosswheel.toolchain.host_programs import (
    LOOK_ALIKE_HINT,
    administrators_path,
    look_alike_fault,
    namespaces,
)

ALIAS = "robot-sim"
"""What the look-alike is called in its ssh configuration."""
_START_SECONDS = 30
# Waits until the namespace knows its users: a shell that looks who it is meanwhile may see two, and gives up root then.
_GATE = "import os, sys; os.read(0, 1) and os.execvp(sys.argv[1], sys.argv[1:])"


@dataclass(frozen=True)
class Simulation:
    """A running look-alike.

    Attributes:
        ssh_config: an OpenSSH client configuration that knows it as :data:`ALIAS`.
        root: its file system, as seen from within; only its own processes see what is mounted there.
        log: what its ssh server says.
        pid: of its first process on this machine.
    """

    port: int
    ssh_config: Path
    log: Path
    pid: int

    @property
    def root(self) -> Path:
        """Its file system as its processes see it; for looking from outside, by root."""
        return Path("/proc") / str(self._server) / "root"

    @property
    def _server(self) -> int:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return int(children[0])


@contextlib.contextmanager
def running(
    image: LookAlikeImage, folder: Path, runner: Runner, *, port: int = 0, var_size: str = "1g"
) -> Iterator[Simulation]:
    """Run a look-alike while the block lasts.

    Args:
        folder: an absolute folder for its keys, log and ssh configuration.
        port: of its ssh server on 127.0.0.1; any free one if 0.
        var_size: size of ``/var``, as ``mount -t tmpfs -o size=`` takes it. What is on it is gone at the end.

    Raises:
        MissingToolError: a program is missing, or this user gets no namespaces.
        UsageError: the port is in use.
        ToolchainError: it does not start; the message has its log.
    """
    require_look_alike()
    folder.mkdir(parents=True, exist_ok=True)
    key, log, port = folder / "key", folder / "log.txt", _free_port(port)
    if not key.is_file():
        runner.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", ALIAS, "-f", key])
    (folder / "host-key").unlink(missing_ok=True)
    with resources.as_file(resources.files(__package__) / "simulation.sh") as script, log.open("w") as output:
        words = [*namespaces(), sys.executable, "-I", "-S", "-c", _GATE, "sh", script, image.root]
        child = subprocess.Popen(
            [*map(str, words), str(folder), str(port), var_size, f"{key}.pub", _emulator_rule(image)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env={**os.environ, "PATH": administrators_path()},
            start_new_session=True,  # Ctrl-C ends the block, and the block ends it
        )
        try:
            # Where that fails it ends, for nothing is written to it; and _wait tells with its log.
            with contextlib.suppress(OSError, RetryError), child.stdin or io.BytesIO() as start:
                _map_users(child.pid)
                start.write(b"\n")
            _wait(child, port, log)
            yield Simulation(port, _ssh_config(folder, key, port), log, child.pid)
        finally:
            child.kill()
            child.wait()


def require_look_alike() -> None:
    """Raise unless a look-alike can be started here; to be asked before its image is made, which takes a while.

    Raises:
        MissingToolError: a program is missing, or this user gets no namespaces.
    """
    fault = look_alike_fault()
    if fault:
        raise fault


def _map_users(pid: int) -> None:
    """Give a new user namespace the users of this one; who is not root has left that to unshare."""
    if os.geteuid() != 0:
        return
    namespace = Path("/proc/self/ns/user").readlink()
    Retrying(
        retry=retry_if_result(lambda same: same), stop=stop_after_delay(_START_SECONDS), wait=wait_fixed(0.01)
    )(lambda: Path(f"/proc/{pid}/ns/user").readlink() == namespace)
    for kind in ("uid", "gid"):
        Path(f"/proc/{pid}/{kind}_map").write_text("0 0 65536\n")


def _emulator_rule(image: LookAlikeImage) -> str:
    """Return the rule by which the kernel starts the target's programs in the emulator (binfmt_misc)."""
    # Any ELF header of this class, byte order and machine: not the file's type, nor its operating system.
    header = image.emulator.python.executable.read_bytes()[:20]
    mask = b"\xff" * 7 + b"\0" + b"\xff" * 8 + b"\xfe" + b"\xff" * 3
    magic = bytes(have & want for have, want in zip(header, mask))
    # F: the emulator is opened now, and found from within any root.
    # O: a program can start itself anew, as dropbear does for each connection.
    # P: a program is told the name that it was called by; a shell is a login shell by that.
    return f":{ALIAS}:M::{_escaped(magic)}:{_escaped(mask)}:{image.emulator.starter}:POF"


def _escaped(data: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in data)


def _free_port(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as its ssh server does
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise UsageError(
                f"port {port} of this machine cannot be had: {error.strerror}",
                hint="another look-alike may be running; choose another --port, or 0 for any that is free.",
            ) from error
        return int(probe.getsockname()[1])


def _wait(child: subprocess.Popen[bytes], port: int, log: Path) -> None:
    def answers() -> bool:
        if child.poll() is not None:
            raise _not_started(log)
        if not (log.parent / "host-key").is_file():
            return False
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        Retrying(
            retry=retry_if_result(lambda up: not up),
            stop=stop_after_delay(_START_SECONDS),
            wait=wait_fixed(0.1),
        )(answers)
    except RetryError as error:
        raise _not_started(log) from error


def _not_started(log: Path) -> ToolchainError:
    return ToolchainError(
        f"the look-alike robot does not start:\n{log.read_text()}",
        hint=f"{LOOK_ALIKE_HINT} It also needs Linux 6.7, or an emulator registered on this machine (on Debian and "
        "Ubuntu: apt-get install qemu-user-static).",
    )


def _ssh_config(folder: Path, key: Path, port: int) -> Path:
    match = re.search(r"^ssh-ed25519 \S+", (folder / "host-key").read_text(), re.MULTILINE)
    assert match is not None
    hosts, config = folder / "known_hosts", folder / "ssh_config"
    hosts.write_text(f"[127.0.0.1]:{port} {match[0]}\n")
    lines = {
        "HostName": "127.0.0.1",
        "Port": port,
        "User": "root",
        "IdentityFile": _as_ssh_writes(key),
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": _as_ssh_writes(hosts),
        "StrictHostKeyChecking": "yes",
    }
    # The second name tells it from others, where the configurations of several are put into one.
    config.write_text(
        f"Host {ALIAS} {ALIAS}-{port}\n" + "".join(f"  {name} {value}\n" for name, value in lines.items())
    )
    return config


def _as_ssh_writes(path: Path) -> str:
    """Return a path so that a configuration of ssh has it as one word, and puts nothing in (ssh_config(5))."""
    return '"{}"'.format(str(path).replace("%", "%%"))
