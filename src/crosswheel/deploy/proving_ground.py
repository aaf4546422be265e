"""Runs wheels on a real machine over one ssh connection, and leaves nothing there."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Any

from crosswheel.deploy.ssh import Address, explained
from crosswheel.emulation.emulator import START
from crosswheel.emulation.trials import HIDDEN_IMAGE
from crosswheel.errors import BuildFailed, NetworkError, StorageError, TargetError
from crosswheel.files import digest_of
from crosswheel.process import Result
from crosswheel.targets import Target

_PROVER = resources.files("crosswheel.deploy") / "on_robot" / "prover.py"
# Reads the program from the connection, as it is longer than some machines allow a command line to be.
_BOOTSTRAP = """
import sys
print("{mark}"[::-1], flush=True)
exec(compile(sys.stdin.buffer.read({size}), "prover", "exec"))
main()
"""
_SECONDS = 900.0
_LEAST_MEMORY = 128 << 20
_SHARE = 2  # a program gets half of the free memory


class ProvingGround:
    """A connection to a machine that runs wheels; use it as a context manager, from any thread.

    Attributes:
        facts: the machine's properties: ``machine``, ``kernel``, ``python``, ``identity``.

    Raises:
        NetworkError: the machine cannot be reached.
        TargetError: the machine is not of the target's kind.
    """

    def __init__(self, address: Address, target: Target, *, seconds: float = _SECONDS) -> None:
        self._address, self._seconds = address, seconds
        self._lock = threading.Lock()
        self._there: set[str] = set()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        mark, program = secrets.token_hex(16), _PROVER.read_bytes()
        code = _BOOTSTRAP.format(mark=mark[::-1], size=len(program))
        self._child = address.start("python3", "-I", "-S", "-B", "-c", code, errors=self._errors)
        try:
            self._send(program)
            self._pass_greeting(mark)
            self.facts: Mapping[str, Any] = self._ask("hello")
            self._require_kind(target)
        except BaseException:  # __exit__ is not called if __init__ fails
            self.close()
            raise

    def __enter__(self) -> ProvingGround:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection and the programs that run there; the machine removes its temporary folder."""
        if self._child.stdin:
            with contextlib.suppress(OSError):  # the connection dropped earlier
                self._child.stdin.close()
        try:
            self._child.wait(30)
        except subprocess.TimeoutExpired:
            self._child.terminate()
            self._child.wait()
        if self._child.stdout:
            self._child.stdout.close()
        self._errors.close()

    def trial(self, sites: Sequence[Path]) -> MachineTrial:
        """Return a trial that runs Python there with installed wheels.

        Args:
            sites: the wheels' ``site-packages`` folders, each in a prefix of its own.
        """
        return MachineTrial(self, tuple(sites))

    def run(self, words: Sequence[str], sites: Sequence[Path]) -> Result:
        """Run Python there with installed wheels, after sending those that the machine does not have yet.

        Raises:
            BuildFailed: the program does not end in time.
            NetworkError: the connection dropped.
            StorageError: the machine has too little space.
        """
        with self._lock:
            start = self._put(START)
            prefixes = [self._put(site.parents[2]) for site in sites]
            folders = [f"{{}}/{name}/{s.relative_to(s.parents[2])}" for name, s in zip(prefixes, sites)]
            sent = [self._as_there(word) for word in words]
            environment = {
                "PYTHONPATH": f"{{}}/{start}",
                "CROSSWHEEL_SITES": os.pathsep.join(folders),
                "CROSSWHEEL_PREFIX": "{}/prefix",
                HIDDEN_IMAGE: "1",
                "PYTHONDONTWRITEBYTECODE": "1",
                "PYTHONFAULTHANDLER": "1",
                "PYTHONNOUSERSITE": "1",
            }
            memory = max(int(self.facts["memory"]) // _SHARE, _LEAST_MEMORY)
            answer = self._ask(
                "run",
                words=sent,
                prefixes=prefixes,
                environment=environment,
                seconds=self._seconds,
                memory=memory,
            )
        if not answer["ended"]:
            raise BuildFailed(
                f"it did not end within {self._seconds:.0f} s on {self._address.host}",
                hint="its last lines are in the log.",
            )
        return Result(int(answer["code"]), str(answer["output"]))

    def _as_there(self, word: str) -> str:
        """Return a word of a command; for a file, send the file's folder and return its path there."""
        path = Path(word)
        if not (path.is_absolute() and path.is_file()):
            return word
        return f"{{}}/{self._put(path.parent)}/{path.name}"

    def _put(self, folder: Path) -> str:
        """Send a folder unless the machine has it; return its name there."""
        name = digest_of(folder=folder)
        if name in self._there:
            return name
        with tempfile.TemporaryFile() as stream:
            with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=1, dereference=True) as archive:
                archive.add(folder, ".", filter=_plain)
            size = stream.tell()
            stream.seek(0)
            self._send(json.dumps({"do": "put", "name": name, "size": size}).encode() + b"\n")
            for block in iter(lambda: stream.read(1 << 16), b""):
                self._send(block)
        self._answer()
        self._there.add(name)
        return name

    def _ask(self, do: str, **values: object) -> Mapping[str, Any]:
        self._send(json.dumps({"do": do, **values}).encode() + b"\n")
        return self._answer()

    def _send(self, data: bytes) -> None:
        assert self._child.stdin
        try:
            self._child.stdin.write(data)
            self._child.stdin.flush()
        except OSError as error:
            raise self._dropped() from error

    def _answer(self) -> Mapping[str, Any]:
        assert self._child.stdout
        line = self._child.stdout.readline()
        if not line.endswith(b"\n"):
            raise self._dropped()
        answer: Mapping[str, Any] = json.loads(line)
        if "error" in answer:
            raise StorageError(
                f"{self._address.host}: {answer['error']}",
                hint="free some space on it, or prove fewer wheels at once.",
            )
        return answer

    def _pass_greeting(self, mark: str) -> None:
        """Skip the output of login scripts."""
        assert self._child.stdout
        for line in self._child.stdout:
            if line.strip() == mark.encode():
                return
        raise self._dropped()

    def _require_kind(self, target: Target) -> None:
        version = ".".join(str(self.facts["python"]).split(".")[:2])
        if version != target.python.short:
            raise TargetError(
                f"{self._address.host} has Python {self.facts['python']}, and {target.title} {target.python.version}",
                hint="name the machine's own target with --target; after an update of its image, learn it again: "
                "crosswheel target update.",
            )

    def _dropped(self) -> Exception:
        try:
            code = self._child.wait(10)
        except subprocess.TimeoutExpired:
            self._child.terminate()
            code = self._child.wait()
        self._errors.seek(0)
        error = explained(self._address, code, self._errors.read().decode(errors="replace").strip())
        if isinstance(error, NetworkError):
            return NetworkError(error.message, hint="run the same command again; nothing was left on it.")
        return error


class MachineTrial:
    """Python on the machine, with some installed wheels."""

    def __init__(self, ground: ProvingGround, sites: tuple[Path, ...]) -> None:
        self._ground, self._sites = ground, sites

    def run(self, *words: str) -> Result:
        """Run the machine's Python with the installed wheels, as :meth:`ProvingGround.run` does."""
        return self._ground.run(words, self._sites)


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Return a member without its owner, who does not exist on the machine."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return None if member.name.endswith("/.lock") else member
