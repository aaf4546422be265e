"""What the benchmarks share: commands that are timed, the state of the machine, and how results are printed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import NoReturn

from rich.console import Console

from crosswheel.process import tail
from crosswheel.progress import table

ROOT = Path(__file__).parents[1]
# Processes that want to run, on average over the last minute, above which a machine is not ours alone.
_QUIET_LOAD = 0.5


def stop(reason: str) -> NoReturn:
    """End the benchmark with a message, and exit code 2."""
    print(f"{Path(sys.argv[0]).name}: {reason}", file=sys.stderr)
    sys.exit(2)


def say(text: str) -> None:
    """Tell what is being done now, apart from the results."""
    print(text, file=sys.stderr, flush=True)


def show(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Collection[str]
) -> None:
    """Print a table of results as plain text."""
    table(Console(no_color=True, force_terminal=False, width=200), title, columns, rows, right=right)
    print(flush=True)


def usual_environment() -> dict[str, str]:
    """Return the environment for commands, in which Python keeps what it compiles, as it does unless told not to."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def machine() -> str:
    """Return what this machine is, and whether others are at work on it: ask before the work begins."""
    load = os.getloadavg()[0]
    others = (
        f"; load {load:.1f} at the start, so others were at work"
        if load > _QUIET_LOAD
        else ", otherwise idle"
    )
    return f"{os.uname().machine}, {os.cpu_count()} processors{others}"


def timed(
    command: Sequence[str | Path], log: Path, *, cwd: Path | None = None, env: Mapping[str, str]
) -> float:
    """Run a command to its end and return the seconds it took; where it fails, so does the benchmark."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as stream:
        began = time.perf_counter()
        ended = subprocess.run(
            list(map(str, command)),
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            check=False,
        )
        seconds = time.perf_counter() - began
    if ended.returncode != 0:
        words = " ".join(map(str, command))
        stop(f"{words} ended with exit code {ended.returncode}:\n{tail(log.read_text(errors='replace'))}")
    return seconds


@contextmanager
def workspace(folder: Path | None) -> Iterator[Path]:
    """Give a folder to work in: a given one, which has to be empty and is kept, or a temporary one."""
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="crosswheel-bench-") as temporary:
            yield Path(temporary)
        return
    if folder.exists() and any(folder.iterdir()):
        stop(f"{folder} is not empty")
    folder.mkdir(parents=True, exist_ok=True)
    yield folder.absolute()


def require_headers(wanted: Mapping[str, str]) -> None:
    """Make sure that gcc finds headers; as root on Debian and Ubuntu, install their packages.

    Args:
        wanted: header to Debian package.
    """
    missing = sorted({package for header, package in wanted.items() if not _finds(header)})
    if not missing:
        return
    install = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    if os.geteuid() != 0:
        stop(f"a native build needs more of this machine: {' '.join(install)}")
    for command in (["apt-get", "update"], install):
        with tempfile.TemporaryDirectory() as logs:
            timed(command, Path(logs) / "apt.log", env=os.environ)


def _finds(header: str) -> bool:
    probe = f"#include <{header}>\n".encode()
    try:
        found = subprocess.run(["gcc", "-E", "-"], input=probe, capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return found.returncode == 0


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


def served(site: Path) -> str:
    """Serve a folder on 127.0.0.1 until this program ends; return its address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/simple/"
