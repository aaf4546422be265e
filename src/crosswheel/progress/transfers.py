"""How far what is sent to several machines has come."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from crosswheel.closing import Closing
from crosswheel.progress.wording import can_redraw, printable, size

_SECONDS_BETWEEN_LINES = 10


class Transfers(Closing):
    """Shows what is told of each machine, from any thread; use it as a context manager.

    On a screen each machine has a bar while something is sent to it; elsewhere there is a line every ten seconds.

    Args:
        clock: gives the seconds on a clock that is never set back.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._lock = threading.Lock()
        self._bars = _bars(console) if can_redraw(console) else None
        self._tasks: dict[str, TaskID] = {}
        self._told: dict[str, tuple[float, int]] = {}

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._bars:
            self._bars.stop()

    def say(self, machine: str, text: str) -> None:
        """Print what goes on with a machine, as a line."""
        with self._lock:
            line = printable(self._console, f"{machine}: {text}")
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def sent(self, machine: str, so_far: int, total: int) -> None:
        """Tell how many bytes of all have been sent to a machine."""
        with self._lock:
            if self._bars:
                self._move(self._bars, machine, so_far, total)
                return
            now = self._clock()
            since, first = self._told.setdefault(machine, (now, so_far))
            if now - since < _SECONDS_BETWEEN_LINES or so_far >= total:
                return
            self._told[machine] = now, so_far
            rate = size(int((so_far - first) / (now - since)))
        self.say(machine, f"{size(so_far)} of {size(total)}, {rate} a second")

    def _move(self, bars: Progress, machine: str, so_far: int, total: int) -> None:
        if machine not in self._tasks:
            bars.start()  # not before there is something to draw
            self._tasks[machine] = bars.add_task(printable(self._console, machine), total=total)
        bars.update(self._tasks[machine], completed=so_far)
        if so_far >= total:
            bars.remove_task(self._tasks.pop(machine))


def _bars(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=True)
