"""The index served as users serve it: in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_PROGRAM = """
import sys
from pathlib import Path
from crosswheel.serve import serve
serve(Path(sys.argv[1]), "127.0.0.1", 0, lambda url: print(url, flush=True))
"""


@dataclass(frozen=True)
class Served:
    """A running server: its process, and its root URL without a slash at the end."""

    process: subprocess.Popen[str]
    url: str


@contextmanager
def serving(site: Path) -> Iterator[Served]:
    """Serve a site while the block lasts, on a free port of 127.0.0.1."""
    process = subprocess.Popen([sys.executable, "-c", _PROGRAM, str(site)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process, process.stdout:
        simple = process.stdout.readline().strip()
        assert simple.endswith("/simple/"), "it did not start"
        try:
            yield Served(process, simple[: -len("/simple/")])
        finally:
            process.terminate()
            process.wait(20)
