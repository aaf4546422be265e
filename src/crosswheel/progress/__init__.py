"""The only place that draws: what is going on while it goes on, and what came of it.

A :class:`Display` is told events, from any thread. On a terminal it shows a live table; elsewhere (a CI log,
a pipe, a file) it writes one line for each package that is finished.
"""

from __future__ import annotations

from rich.console import Console

from crosswheel.progress.activity import activity
from crosswheel.progress.events import Display, PlainDisplay
from crosswheel.progress.live import LiveDisplay
from crosswheel.progress.report import Row, show_error, table
from crosswheel.progress.state import Outcome
from crosswheel.progress.transfers import Transfers
from crosswheel.progress.wording import can_redraw

__all__ = ["Display", "Outcome", "Row", "Transfers", "activity", "display", "show_error", "table"]


def display(console: Console, *, verbose: bool, live: bool | None = None) -> Display:
    """Return the display that fits ``console``; use it as a context manager.

    Args:
        console: where to draw. Rich's conventions apply: ``NO_COLOR``, ``TERM=dumb``, ``TTY_INTERACTIVE``.
        verbose: also print every line that the programs print, and every step.
        live: draw a live table or not; if not given, where the console is a terminal that can show one.
    """
    if live is None:
        live = can_redraw(console)
    return (LiveDisplay if live else PlainDisplay)(console, verbose=verbose)
