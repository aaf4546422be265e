"""Connects to a robot with the OpenSSH client and the user's own configuration, and talks to the agent there."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import select
import shlex
import struct
import subprocess
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from crosswheel.closing import Closing
from crosswheel.deploy.carried import Agent
from crosswheel.errors import (
    CheckFailed,
    CrosswheelError,
    IntegrityError,
    MissingToolError,
    NetworkError,
    StorageError,
    TargetError,
    ToolchainError,
    UsageError,
)

if TYPE_CHECKING:
    from crosswheel.deploy.release import PackagePart

_LENGTH = struct.Struct("!I")
_TOLD_BYTES = 1 << 18
_GOODBYE_SECONDS = 5
_MARK_BYTES = 16
_PRINTED_BYTES = 1 << 20  # what a login may print before the agent starts
_START_SECONDS = 120.0
_OPTIONS = {
    "BatchMode": "yes",  # nobody can answer a question
    "StrictHostKeyChecking": "yes",  # an unknown host is never trusted silently
    "ConnectTimeout": "15",
    "ServerAliveInterval": "10",  # a dead connection is noticed
    "ServerAliveCountMax": "3",
    "Compression": "no",  # the data are already compressed
    "RemoteCommand": "none",  # one in the configuration would run instead of the agent
    "LogLevel": "INFO",  # ssh tells why it fails
}


@dataclass(frozen=True)
class Address:
    """The address of a robot, in the terms of the OpenSSH client.

    Attributes:
        host: a name, an address, or an alias in the ssh configuration.
        user, port, identity: as given on the command line; if ``None``, the ssh configuration decides.
        config: an ssh configuration file instead of the user's.
        sudo: whether to become root there, by sudo.
    """

    host: str
    user: str | None = None
    port: int | None = None
    identity: Path | None = None
    config: Path | None = None
    sudo: bool = False

    def command(self, *words: str) -> list[str]:
        """Return the command line that runs a command on the robot."""
        options = [word for name, value in _OPTIONS.items() for word in ("-o", f"{name}={value}")]
        options_of_user = {"-l": self.user, "-p": self.port, "-i": self.identity, "-F": self.config}
        options += [word for name, value in options_of_user.items() if value for word in (name, str(value))]
        rights = ["sudo", "-n", "--"] if self.sudo else []
        return ["ssh", "-T", *options, "--", self.host, shlex.join([*rights, *words])]

    def start(self, *words: str, errors: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start a command on the robot, with pipes to its input and from its output.

        Args:
            errors: a file for the standard error of the command and of the OpenSSH client.

        Raises:
            MissingToolError: this machine has no OpenSSH client.
        """
        try:
            return subprocess.Popen(
                self.command(*words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
            )
        except FileNotFoundError as error:
            raise MissingToolError(
                "there is no OpenSSH client on this machine",
                hint="install it; on Debian and Ubuntu: apt-get install openssh-client",
            ) from error


class Connection(Closing):
    """A connection with an agent at its end; use it as a context manager.

    Attributes:
        sent: the number of bytes that went to the robot, including the agent and all messages.

    Raises:
        NetworkError: the robot cannot be reached, or refuses the login.
        MissingToolError: this machine has no OpenSSH client.
    """

    def __init__(self, address: Address, agent: Agent | None = None) -> None:
        self.address = address
        agent = agent or Agent()
        self.sent = 0
        self._error_stream = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._mark = secrets.token_bytes(_MARK_BYTES)
        self._began = False
        # With -I and -S, neither environment variables nor packages that users installed can disturb the agent.
        self._child = address.start(
            "python3", "-I", "-S", "-B", "-c", agent.bootstrap(self._mark), errors=self._error_stream
        )
        try:
            self._write(agent.stream)
        except CrosswheelError:  # __exit__ is not called if __init__ fails
            self.close()
            raise

    def close(self) -> None:
        """End the connection, and with it the agent."""
        with contextlib.suppress(OSError):  # the connection broke earlier
            _present(self._child.stdin).close()
        try:
            self._child.wait(_GOODBYE_SECONDS)  # the agent sees the end of its input, and unlocks the store
        except subprocess.TimeoutExpired:
            self._child.terminate()
            self._child.wait()
        _present(self._child.stdout).close()
        self._error_stream.close()

    def ask(self, do: str, **values: object) -> Mapping[str, Any]:
        """Send a request to the agent; return its answer.

        Raises:
            NetworkError: the connection ended.
            CrosswheelError: the agent refused the request; the class of the error tells why.
        """
        self._send(zlib.compress(json.dumps({"do": do, **values}, separators=(",", ":")).encode()))
        self._flush()
        return self._answer()

    def send_files(self, parts: Iterable[PackagePart], sent: Callable[[int], object]) -> None:
        """Send the bytes of files, one part after the other.

        Args:
            sent: called now and then with the number of bytes of the files that were sent so far.

        Raises: as :meth:`ask`.
        """
        self._send(zlib.compress(json.dumps({"do": "receive"}).encode()))
        sent_size = reported = 0
        for part in parts:
            for data, size in part.stream():
                if data:  # an empty block would end the stream
                    self._send(data)
                sent_size += size
                if sent_size - reported >= _TOLD_BYTES:
                    sent(sent_size)
                    reported = sent_size
        sent(sent_size)
        self._send(b"")
        self._flush()
        self._answer()

    def _send(self, data: bytes) -> None:
        self._write(_LENGTH.pack(len(data)) + data)

    def _write(self, data: bytes) -> None:
        try:
            _present(self._child.stdin).write(data)
        except OSError as error:
            raise self._ended() from error
        self.sent += len(data)

    def _flush(self) -> None:
        try:
            _present(self._child.stdin).flush()
        except OSError as error:
            raise self._ended() from error

    def _answer(self) -> Mapping[str, Any]:
        stream = _present(self._child.stdout)
        self._begin(stream.fileno())
        head = stream.read(_LENGTH.size)
        body = stream.read(*_LENGTH.unpack(head)) if len(head) == _LENGTH.size else b""
        if len(head) < _LENGTH.size or len(body) < _LENGTH.unpack(head)[0]:
            raise self._ended()
        answer: Mapping[str, Any] = json.loads(zlib.decompress(body))
        if "error" in answer:
            raise _refusal(str(answer["error"]), f"{self.address.host}: {answer['message']}")
        return answer

    def _begin(self, stream: int) -> None:
        """Skip the output of login scripts, up to the mark that the agent writes first."""
        printed, last = bytearray(), time.monotonic() + _START_SECONDS
        while not self._began:
            if not select.select([stream], [], [], max(last - time.monotonic(), 0))[0] or (
                len(printed) > _PRINTED_BYTES
            ):
                raise self._never_began(bytes(printed))
            byte = os.read(stream, 1)
            if not byte:
                raise self._ended()
            printed += byte
            self._began = printed.endswith(self._mark)

    def _never_began(self, printed: bytes) -> NetworkError:
        host, lines = self.address.host, printed.decode(errors="replace").splitlines()
        greeting = f", and the login prints: {lines[-1]}" if lines else ""
        return NetworkError(
            f"{host} lets us in, but starts no program{greeting}",
            hint=f"something that runs at each login there (.bashrc, .profile, a menu) waits or goes on printing; see "
            f"what `ssh {host} true` does.",
        )

    def _ended(self) -> CrosswheelError:
        code = self._child.wait()
        self._error_stream.seek(0)
        errors = self._error_stream.read().decode(errors="replace").strip()
        return explained(self.address, code, errors)


def _present(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


def _refusal(kind: str, message: str) -> CrosswheelError:
    """Return the error for a refusal of the agent, by its kind."""
    if kind == "target":
        return TargetError(message, hint="name the robot's own target with --target, and build for it.")
    if kind == "no-space":
        return StorageError(
            message,
            hint="free some space on the robot: `crosswheel list` shows what is there; nothing changed.",
        )
    if kind == "damaged":
        return IntegrityError(
            message, hint="nothing was changed; run the same command again, or deploy it again."
        )
    if kind == "signature":
        return IntegrityError(
            message,
            hint="nothing was changed. Sign it with the key that the robot knows, or hand over to yours with "
            "`crosswheel keys rotate`; docs/trust.md tells what to do where that key is lost.",
        )
    if kind == "permission":
        return UsageError(
            message,
            hint="log in as root (--user root), or add --sudo, where the user may use sudo without a password.",
        )
    if kind == "test":
        return CheckFailed(message, hint="the version before stays active; mend what the test shows.")
    if kind in ("busy", "occupied", "nothing", "used", "running", "name"):
        hints = {
            "busy": "wait until it is done; if it was broken off, the robot frees itself when that connection ends.",
            "occupied": "remove that one first, or give this environment another --name.",
            "name": "`crosswheel list` shows the names of what is on the robot.",
            "nothing": "`crosswheel list` shows what is on the robot.",
            "used": "`crosswheel service --remove` it first.",
            "running": "end them first: their files would be gone from under them.",
        }
        return UsageError(message, hint=hints[kind])
    return ToolchainError(message, hint="run it again; if it stays, this is a defect of crosswheel.")


# ssh's messages, and what they mean; the first pattern that matches counts. Its groups may be in message and hint.
_REASONS: Iterable[tuple[str, str, str]] = (
    (
        r"REMOTE HOST IDENTIFICATION HAS CHANGED",
        "{host} has another host key than before",
        "find out why (a new image, or another machine at its address) before you remove the old key with "
        "`ssh-keygen{file} -R {known}`.",
    ),
    (
        r"Host key verification failed|No \S+ host key is known",
        "the host key of {host} is not known",
        "connect once with `ssh -o StrictHostKeyChecking=ask {host}`, compare the fingerprint, and accept it; "
        "crosswheel never does that for you, whatever your ssh configuration says. Where that names /dev/null as "
        "UserKnownHostsFile, nothing that you accept is kept: take it out.",
    ),
    (
        r"no matching (?P<what>[a-z ]+?) found\. Their offer: (?P<offer>\S+)",
        "{host} and this machine's ssh have no {what} in common; {host} offers {offer}",
        "that is old, and refused unless you allow it: in your ssh configuration, below `Host {host}`, write a line "
        "such as `HostKeyAlgorithms +{offer}` (or KexAlgorithms, Ciphers, MACs); for old RSA keys "
        "`PubkeyAcceptedAlgorithms +ssh-rsa`, too.",
    ),
    (
        r"no mutual signature",
        "{host} is too old for the signatures of this RSA key",
        "use an ed25519 key, or write `PubkeyAcceptedAlgorithms +ssh-rsa` below `Host {host}` in your ssh "
        "configuration.",
    ),
    (
        r"Load key|Identity file .* not accessible|UNPROTECTED PRIVATE KEY",
        "a private key for {host} cannot be used",
        "check --identity: the file has to be there, readable by you alone, and a private key.",
    ),
    (
        r"[Bb]ad configuration option|Bad owner or permissions|Can't open user config|keyword .* extra arguments",
        "ssh does not take its configuration",
        "mend the line of the file that it names, or give another with --ssh-config.",
    ),
    (
        r"sudo: .*(?:password|terminal)",
        "sudo asks for a password on {host}",
        "have it ask for none (NOPASSWD in a file of /etc/sudoers.d on the robot), or log in as root.",
    ),
    (
        r"sudo: (?!not found)|is not in the sudoers file",
        "sudo refuses on {host}",
        "the user has to be one who may use sudo there; or log in as root.",
    ),
    (
        r"Permission denied|Too many authentication failures",
        "{host} does not let us in",
        "check --user and --identity; the key has to be installed on the robot, and one with a passphrase has to be "
        "in the ssh agent.",
    ),
    (r"Could not resolve", "there is no host named {host}", "check the name, or use the robot's address."),
    (
        r"refused|No route|unreachable|timed out|Connection reset|closed by",
        "{host} cannot be reached",
        "check that the robot is on and in this network, and its port.",
    ),
)


def explained(address: Address, code: int, errors: str) -> CrosswheelError:
    """Return the error for the end of ssh, by its exit code and its standard error."""
    host, last = address.host, f": {errors.splitlines()[-1]}" if errors else ""
    if code == 127:
        lacking = "sudo" if "sudo" in last else "python3"
        return TargetError(
            f"{host} has no {lacking}{last}", hint="is it the robot? Its image should have one on the PATH."
        )
    for pattern, message, hint in _REASONS:
        match = re.search(pattern, errors)
        if match:
            names = {"host": host, **_offending(errors, host), **match.groupdict()}
            return NetworkError(message.format(**names) + last, hint=hint.format(**names))
    return NetworkError(
        f"the connection to {host} ended{last}",
        hint="run the same command again: it goes on where it stopped, and the active version is as it was.",
    )


def _offending(errors: str, host: str) -> dict[str, str]:
    """Return the host name and the known_hosts file of a changed key, quoted for a shell, from ssh's message."""
    known = re.search(r"ost key for (\S+) has changed", errors)
    file = re.search(r"Offending .*key in (.+):\d+", errors)
    return {
        "known": shlex.quote(known[1] if known else host),
        "file": f" -f {shlex.quote(file[1])}" if file else "",
    }
