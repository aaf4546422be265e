"""Runs programs with wheels on a machine, by its own Python, in a temporary folder.

It reads requests from its standard input, each a line of JSON, perhaps followed by bytes, and answers with a line. When
its input ends, it ends the running program and removes the folder. Programs have the lowest priority, and the kernel
kills them first when memory is short.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import platform
import resource
import select
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from typing import Any

_BLOCK = 1 << 16
_MOST_OUTPUT = 8 << 20
_SPARE = 1 << 20  # bytes that stay free
_FOLDERS = ("/var/tmp", "/tmp", "/var", "/dev/shm")


class Gone(Exception):
    """The connection has ended."""


def most_space() -> str:
    """Return the folder for temporary files with the most free space."""
    usable = [folder for folder in _FOLDERS if os.path.isdir(folder) and os.access(folder, os.W_OK)]
    return max(usable, key=free_bytes)


def free_bytes(folder: str) -> int:
    """Return the free bytes of a folder's file system."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def available_memory() -> int:
    """Return the available bytes of memory."""
    with open("/proc/meminfo") as stream:
        values = dict(line.split(":") for line in stream)
    return int(values.get("MemAvailable", values["MemFree"]).split()[0]) << 10


def link_into(source: str, folder: str) -> None:
    """Link a folder's files into another folder; of two files with one name, the first stays."""
    for entry in os.scandir(source):
        path = os.path.join(folder, entry.name)
        if entry.is_dir():
            if entry.name != "site-packages":
                os.makedirs(path, exist_ok=True)
                link_into(entry.path, path)
        elif not os.path.lexists(path):
            os.symlink(entry.path, path)


class Prover:
    """Answers requests; ``folder`` is its temporary folder."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.source = sys.stdin.buffer

    def do_hello(self) -> dict[str, Any]:
        """Return the machine's properties."""
        return {
            "machine": os.uname().machine,
            "kernel": os.uname().release,
            "python": platform.python_version(),
            "memory": available_memory(),
            "space": free_bytes(self.folder),
            "folder": self.folder,
            "identity": _text("/etc/machine-id") or platform.node(),
        }

    def do_put(self, name: str, size: int) -> dict[str, Any]:
        """Unpack the tar archive that follows the request into a folder of this name."""
        archive = os.path.join(self.folder, name + ".tar.gz")
        left = size
        with open(archive, "wb") as sink:
            while left:
                data = self.source.read(min(left, _BLOCK))
                if not data:
                    raise Gone
                sink.write(data)
                left -= len(data)
        with tarfile.open(archive) as contents:
            if sum(member.size for member in contents) + _SPARE > free_bytes(self.folder):
                return {"error": f"it has not enough space left in {self.folder}"}
            contents.extractall(os.path.join(self.folder, name))
        os.remove(archive)
        return {}

    def do_run(
        self, words: list[str], prefixes: list[str], environment: dict[str, str], seconds: float, memory: int
    ) -> dict[str, Any]:
        """Run Python with words; in these and in the variables, ``{}`` stands for the folder.

        The folders that were put as ``prefixes`` are merged in ``{}/prefix``, except their packages.
        """
        scratch, prefix = os.path.join(self.folder, "scratch"), os.path.join(self.folder, "prefix")
        for folder in (scratch, prefix):
            shutil.rmtree(folder, ignore_errors=True)
            os.mkdir(folder)
        for name in prefixes:
            link_into(os.path.join(self.folder, name), prefix)
        named = [word.replace("{}", self.folder) for word in words]
        variables = {name: value.replace("{}", self.folder) for name, value in environment.items()}
        own = {
            "PATH": os.environ.get("PATH", os.defpath),
            "LC_ALL": "C.UTF-8",
            "HOME": scratch,
            "TMPDIR": scratch,
        }
        idle = ["ionice", "-c", "3"] if shutil.which("ionice") else []

        def limit() -> None:
            os.setsid()
            os.setpriority(os.PRIO_PROCESS, 0, 19)
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            try:
                with open("/proc/self/oom_score_adj", "w") as stream:
                    stream.write("1000")
            except OSError:
                pass

        child = subprocess.Popen(
            [*idle, sys.executable, *named],
            env={**own, **variables},
            cwd=scratch,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=limit,
        )
        try:
            output, ended = self._followed(child, seconds)
        finally:
            with contextlib.suppress(OSError):
                os.killpg(child.pid, signal.SIGKILL)  # with all that it started
            child.wait()
        return {"code": child.returncode, "output": output, "ended": ended}

    def _followed(self, child: subprocess.Popen[bytes], seconds: float) -> tuple[str, bool]:
        """Return a program's output, and whether it ended in time."""
        assert child.stdout
        printed, last = io.BytesIO(), time.monotonic() + seconds
        while True:
            ready = select.select([child.stdout, self.source], [], [], max(last - time.monotonic(), 0))[0]
            if not ready:
                return printed.getvalue().decode(errors="replace"), False
            if self.source in ready:  # the connection has ended, as no request comes before the answer
                raise Gone
            data = os.read(child.stdout.fileno(), _BLOCK)
            if not data:
                child.wait()
                return printed.getvalue().decode(errors="replace"), True
            if printed.tell() < _MOST_OUTPUT:
                printed.write(data)

    def serve(self) -> None:
        """Answer requests until the connection ends."""
        while True:
            line = self.source.readline()
            if not line:
                return
            request = json.loads(line)
            try:
                answer = getattr(self, "do_" + request.pop("do"))(**request)
            except OSError as error:
                answer = {"error": str(error)}
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()


def _text(path: str) -> str:
    try:
        with open(path) as stream:
            return stream.read().strip()
    except OSError:
        return ""


def main() -> None:
    """Answer requests, then remove the temporary folder."""
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(1))
    folder = tempfile.mkdtemp(prefix="crosswheel.", dir=most_space())
    try:
        Prover(folder).serve()
    except (Gone, BrokenPipeError):
        pass
    finally:
        shutil.rmtree(folder, ignore_errors=True)
