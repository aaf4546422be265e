"""Knowing when programs, and all that they started, have ended."""

from __future__ import annotations

import os
import select
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_PATIENCE = 60  # seconds; only a test that fails waits so long


@dataclass(frozen=True)
class Lifeline:
    """A named pipe that programs hold open by being alive; who inherits it holds it too."""

    path: Path
    reader: int

    def held(self, script: str) -> list[str]:
        """Return the command of a shell script that holds the line while it, or a child of it, lives."""
        return ["sh", "-c", f"exec 3>{shlex.quote(str(self.path))}\n{script}"]

    def is_cut(self) -> bool:
        """Wait until nobody holds the line, and tell whether that came to pass."""
        while select.select([self.reader], [], [], _PATIENCE)[0]:
            if not os.read(self.reader, 1 << 16):
                return True
        return False


@contextmanager
def lifeline(folder: Path) -> Iterator[Lifeline]:
    """Make a lifeline in ``folder``. It counts as cut as long as nobody held it."""
    path = folder / "lifeline"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        yield Lifeline(path, reader)
    finally:
        os.close(reader)
