"""What goes on during a command that otherwise prints only what came of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.text import Text

from crosswheel.progress.wording import can_redraw, printable


@contextlib.contextmanager
def activity(console: Console) -> Iterator[Callable[[str], None]]:
    """Yield what is told of each step: on a screen the last one is shown while the block runs, elsewhere none."""
    if not can_redraw(console):
        yield lambda step: None
        return
    with console.status("") as status:
        yield lambda step: status.update(Text(printable(console, step)))
