"""A real Prefect server on this machine, native, for a robot to report to."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from tenacity import Retrying, retry_if_exception, retry_if_exception_type, stop_after_delay, wait_fixed

from crosswheel.process import Runner
from crosswheel.recipes.model import Recipe
from crosswheel.settings import Settings
from crosswheel.uv import Uv

# Prefect 3.3.4 runs on Python >= 3.9, < 3.14, and keeps its data in SQLite.
_FITS = "import sqlite3, sys; sys.exit(not (3, 9) <= sys.version_info < (3, 14))"
_START_SECONDS = 300
_BUSY_SECONDS = 60


def install(folder: Path, recipe: Recipe, settings: Settings, runner: Runner) -> Path:
    """Install Prefect of a recipe's version, as of its day, into an environment; return that one's Python."""
    uv, environment = Uv(settings, runner), folder / "venv"
    wanted, resolved = folder / "requirements.in", folder / "requirements.txt"
    wanted.write_text(f"{recipe.name}=={recipe.version}\n")
    python = _python()
    solved = uv.compile([wanted], resolved, python=python, as_of=recipe.as_of)
    assert solved.returncode == 0, solved.output
    uv.venv(environment, python=python)
    uv.install_locked(resolved, python=environment / "bin" / "python")
    return environment / "bin" / "python"


def _python() -> Path:
    names = ("python3", *(f"python3.{minor}" for minor in range(13, 8, -1)))
    for candidate in (sys.executable, *filter(None, map(shutil.which, names))):
        if subprocess.run([candidate, "-c", _FITS], capture_output=True, check=False).returncode == 0:
            return Path(candidate)
    raise AssertionError("the Prefect server needs a Python 3.9 to 3.13 with sqlite3, and none is on PATH")


@contextmanager
def running(python: Path, folder: Path) -> Iterator[str]:
    """Run a server on 127.0.0.1 with its data in ``folder`` while the block lasts; give the URL of its API."""
    port = _free_port()
    environment = {
        "PATH": os.defpath,
        "HOME": str(folder),
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_UI_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    command = [str(python), "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "server.log").open("w") as log:
        child = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            _wait_until_healthy(f"http://127.0.0.1:{port}/api/health", child, Path(log.name))
            yield f"http://127.0.0.1:{port}/api"
        finally:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def ask(api: str, path: str, **body: object) -> Any:
    """Post to a server's API; return what it answers.

    Raises:
        httpx.HTTPStatusError: the server refused, or was busy for a minute: while another request writes to its SQLite
            it answers 503, upon which Prefect's own clients ask again.
    """
    waiting = Retrying(
        retry=retry_if_exception(_is_busy),
        stop=stop_after_delay(_BUSY_SECONDS),
        wait=wait_fixed(0.2),
        reraise=True,
    )
    return waiting(_post, f"{api}{path}", body)


def _post(url: str, body: Mapping[str, object]) -> Any:
    return httpx.post(url, json=body, trust_env=False, timeout=_BUSY_SECONDS).raise_for_status().json()


def _is_busy(error: BaseException) -> bool:
    return isinstance(error, httpx.HTTPStatusError) and error.response.status_code == 503


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_healthy(url: str, child: subprocess.Popen[bytes], log: Path) -> None:
    waiting = Retrying(
        retry=retry_if_exception_type(httpx.HTTPError),
        stop=stop_after_delay(_START_SECONDS),
        wait=wait_fixed(0.2),
        reraise=True,
    )
    for attempt in waiting:
        with attempt:
            assert child.poll() is None, f"the Prefect server ended:\n{log.read_text()}"
            httpx.get(url, trust_env=False).raise_for_status()
