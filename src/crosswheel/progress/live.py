"""The display for a terminal: what is running, what failed, and how far it has come, redrawn in place."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from crosswheel.progress.events import Display
from crosswheel.progress.report import counted
from crosswheel.progress.state import STYLES, Ended, Running, RunState
from crosswheel.progress.wording import clock, in_short, plural

_REFRESHES_PER_SECOND = 4
_STEP_WIDTH = 10
_TIME_WIDTH = len("1:02:40")
_GAP = 2
_WIDTH_WITH_TIME = 36
_WIDTH_WITH_DETAILS = 60
_WIDTH_WITH_BAR = 60


class LiveDisplay(Display):
    """A table of what is running and what failed, above it a line for each wheel that was built.

    Wheels that were taken or found only count, so that the builds can be seen among them.
    """

    def __init__(self, console: Console, *, verbose: bool) -> None:
        super().__init__(console, verbose=verbose)
        self._since = time.monotonic()
        self._closed = False
        self._live = Live(
            console=console, get_renderable=self._draw, refresh_per_second=_REFRESHES_PER_SECOND
        )

    def __enter__(self) -> LiveDisplay:
        self._live.start()
        return self

    def close(self) -> None:
        """Stop redrawing: failures and the bar stay on the screen."""
        self._closed = True
        try:
            self._live.stop()
        finally:  # a second Ctrl-C may have come
            self._console.show_cursor(True)

    def _announce(self, ended: Ended) -> None:
        if self._closed or ended.outcome == "built":
            self._print_ended(ended)

    def _draw(self) -> RenderableType:
        # Called by Rich's thread with Rich's lock held, while events hold ours and wait for Rich's:
        # taking ours here would be a deadlock. The state is one immutable object, so none is needed.
        now = time.monotonic()
        if self._closed:
            return final_frame(self._state, now - self._since, self._console.width)
        return frame(self._state, now, now - self._since, self._console.width, self._console.height)


def frame(state: RunState, now: float, elapsed: float, width: int, height: int) -> RenderableType:
    """Return what the screen shows while work goes on: at most ``height - 1`` lines of ``width`` columns.

    Args:
        now: the moment on the monotonic clock, in seconds.
        elapsed: seconds since the work began.
    """
    room = max(1, height - 2)  # without the bar, and without a last line, where the terminal would scroll
    failures = [_failure_cells(ended) for ended in reversed(state.failures)]
    running = [_running_cells(work, now) for work in state.running.values()]
    if state.waiting:
        running.append(_dim(plural(len(state.waiting), "other"), "waiting", "for what they need"))
    for_failures = min(len(failures), max(room // 3, room - len(running)))
    rows = [*_limited(failures, for_failures), *_limited(running, room - for_failures)]
    return Group(_grid(rows, state, width), _bar(state, elapsed, width))


def final_frame(state: RunState, elapsed: float, width: int) -> RenderableType:
    """Return what stays on the screen: all failures, and how far it came."""
    failures = [_failure_cells(ended) for ended in state.failures]
    return Group(_grid(failures, state, width), _bar(state, elapsed, width))


_Cells = tuple[Text, Text, Text, Text]


def _running_cells(work: Running, now: float) -> _Cells:
    name = Text.assemble((work.package, "bold"), f" {work.version}")
    detail = Text(in_short(work.detail), style="dim")
    return name, Text(work.step), Text(clock(work.seconds(now))), detail


def _dim(name: str, step: str = "", detail: str = "") -> _Cells:
    return Text(name, style="dim"), Text(step, style="dim"), Text(), Text(detail, style="dim")


def _failure_cells(ended: Ended) -> _Cells:
    time_taken = "" if ended.seconds is None else clock(ended.seconds)
    name = Text.assemble((ended.package, "bold"), f" {ended.version}")
    return name, Text(ended.outcome, style=STYLES[ended.outcome]), Text(time_taken), Text(ended.note)


def _limited(rows: Sequence[_Cells], room: int) -> list[_Cells]:
    """Return as many rows as there is room for; the last one tells how many are left out."""
    if len(rows) <= room:
        return list(rows)
    count = max(0, room - 1)
    return [*rows[:count], _dim(f"… and {len(rows) - count} more")][:room]


def _grid(rows: Sequence[_Cells], state: RunState, width: int) -> Table:
    """Lay the rows out; a narrow screen has no details, a very narrow one no times either."""
    grid = Table.grid(padding=(0, _GAP, 0, 0), expand=True)
    # Widths do not depend on what runs at the moment, or the columns would jump.
    widest_name = width // 3 if width >= _WIDTH_WITH_DETAILS else width - _STEP_WIDTH - _TIME_WIDTH - 2 * _GAP
    grid.add_column(width=min(state.name_width, max(widest_name, width // 3)), no_wrap=True)
    grid.add_column(width=_STEP_WIDTH, no_wrap=True)
    if width >= _WIDTH_WITH_TIME:
        grid.add_column(width=_TIME_WIDTH, justify="right", no_wrap=True)
    if width >= _WIDTH_WITH_DETAILS:
        grid.add_column(ratio=1, no_wrap=True)
    for row in rows:
        grid.add_row(*row[: len(grid.columns)])
    return grid


def _bar(state: RunState, elapsed: float, width: int) -> Table:
    counts = Text(f"{len(state.ended)}/{state.total}", style="bold")
    for outcome, count in counted(state.counts):
        counts.append("  ").append(f"{count} {outcome}", style=STYLES[outcome] if count else "dim")
    counts.append(f"  {clock(elapsed)}")
    cells: list[RenderableType] = [counts]
    line = Table.grid(padding=(0, _GAP, 0, 0))
    if width >= _WIDTH_WITH_BAR:
        cells.insert(0, ProgressBar(state.total or 1, len(state.ended), width=min(40, width // 4)))
        line.add_column()
    line.add_column(no_wrap=True)
    line.add_row(*cells)
    return line
