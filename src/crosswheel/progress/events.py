"""What a display can be told, and the display that writes plain lines."""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console
from rich.text import Text

from crosswheel.closing import Closing
from crosswheel.progress import report
from crosswheel.progress.state import STYLES, Ended, Outcome, Running, RunState
from crosswheel.progress.wording import duration, first_line, printable


class Display(Closing):
    """Shows what is going on. Every method may be called from any thread; packages are told apart by name."""

    def __init__(self, console: Console, *, verbose: bool) -> None:
        self._console = console
        self._verbose = verbose
        # Reentrant, because a signal handler may have something to say while this thread says something.
        self._lock = threading.RLock()
        self._state = RunState()

    @property
    def console(self) -> Console:
        """Where it draws."""
        return self._console

    @abstractmethod
    def close(self) -> None:
        """Stop drawing and leave the terminal as it was. What is told later still gets printed."""

    def expect(self, packages: Sequence[tuple[str, str]]) -> None:
        """Tell the names and versions of packages that are to come."""
        with self._lock:
            self._state = self._state.expecting(packages)

    def start(self, package: str, version: str, step: str) -> None:
        """Tell that work on a package begins, with the step named."""
        with self._lock:
            self._state = self._state.with_running(Running(package, version, step, time.monotonic()))
            self._narrate(package, step)

    def step(self, package: str, step: str) -> None:
        """Tell that a package has come to its next step."""
        with self._lock:
            self._change(package, "", step)
            self._narrate(package, step)

    def wait(self, package: str) -> None:
        """Tell that nothing more can be done for a package until others are made; ``start`` ends that."""
        with self._lock:
            self._state = self._state.with_waiting(package, time.monotonic())

    def detail(self, package: str, text: str) -> None:
        """Tell something of passing interest, such as how far a download has come."""
        with self._lock:
            self._change(package, printable(self._console, text))

    def line(self, package: str, text: str) -> None:
        """Tell one line that a program printed: the newest detail; with ``verbose`` it is printed as well."""
        with self._lock:
            self._change(package, printable(self._console, text))
            self._narrate(package, text)

    def done(self, package: str, outcome: Outcome, note: str = "", seconds: float | None = None) -> None:
        """Tell how a package ended.

        Args:
            note: its first line is shown.
            seconds: how long it took, if that is not how long it was worked on.
        """
        with self._lock:
            ended = Ended(
                package,
                self._state.version_of(package),
                outcome,
                self._seconds(package) if seconds is None else seconds,
                printable(self._console, first_line(note)),
            )
            self._state = self._state.with_ended(ended)
            self._announce(ended)

    def message(self, text: str) -> None:
        """Print a remark."""
        report.print_text(self._console, Text(printable(self._console, text)))

    def warning(self, text: str) -> None:
        """Print something the user should know, though the work goes on."""
        warning = Text.assemble(("warning:", "bold yellow"), " ", printable(self._console, text))
        report.print_text(self._console, warning)

    def summary(self, results: Sequence[report.Row]) -> None:
        """Stop drawing, and print what came of it; the totals are the last line."""
        self.close()
        report.summary(self._console, results)

    @abstractmethod
    def _announce(self, ended: Ended) -> None:
        """Show that a package ended. Called with the lock held, so lines come in the order of events."""

    def _seconds(self, package: str) -> float | None:
        """Return how long a package was worked on; ``None`` if nobody told of any work."""
        running, waiting = self._state.running.get(package), self._state.waiting.get(package)
        if running:
            return running.seconds(time.monotonic())
        return waiting.worked if waiting else None

    def _change(self, package: str, detail: str, step: str | None = None) -> None:
        running = self._state.running.get(package)
        if running:  # a program's last line may come after its package was done
            changed = replace(running, step=step or running.step, detail=detail)
            self._state = self._state.with_running(changed)

    def _narrate(self, package: str, text: str) -> None:
        if not self._verbose:
            return
        name = "-".join(filter(None, (package, self._state.version_of(package))))
        for line in printable(self._console, text).split("\n"):
            self._print_line(Text.assemble((f"{name} | ", "dim"), line))

    def _print_ended(self, ended: Ended) -> None:
        """Print a line such as ``[47/96] greenlet 3.2.1  built    12.3 s  the note``."""
        time_taken = "" if ended.seconds is None else duration(ended.seconds)
        self._print_columns(
            ended.package,
            ended.version,
            Text(f"{ended.outcome:8}", STYLES[ended.outcome]),
            f"  {time_taken:>12}  {ended.note}",
        )

    def _print_columns(self, package: str, version: str, *cells: str | Text) -> None:
        state = self._state
        digits = len(str(state.total))
        name = f"{package} {version}".rstrip()
        columns = Text.assemble(
            (f"[{len(state.ended):{digits}}/{state.total}] ", "dim"), f"{name:{state.name_width}}  ", *cells
        )
        columns.rstrip()
        self._print_line(columns)

    def _print_line(self, line: Text) -> None:
        self._console.print(line, soft_wrap=True)


class PlainDisplay(Display):
    """One line for every build that begins and every package that ends: for logs, pipes and files."""

    def close(self) -> None:
        """Do nothing: plain lines leave nothing to be restored."""

    def step(self, package: str, step: str) -> None:
        """Tell that a package has come to its next step; that it is being built is printed, which takes longest."""
        with self._lock:
            super().step(package, step)
            if step == "building":
                self._print_columns(package, self._state.version_of(package), step)

    def detail(self, package: str, text: str) -> None:
        """Tell something of passing interest; only printed with ``verbose``."""
        with self._lock:
            self._narrate(package, text)

    def _announce(self, ended: Ended) -> None:
        self._print_ended(ended)
