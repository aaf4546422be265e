"""A display that shows the work on several packages as one row of another display."""

from __future__ import annotations

from crosswheel.progress.events import Display
from crosswheel.progress.state import Ended


class NestedDisplay(Display):
    """Shows what is done for a closure in the row of its root: the step, and of which package it is."""

    def __init__(self, outer: Display, row: str) -> None:
        super().__init__(outer.console, verbose=False)
        self._outer, self._row = outer, row

    def close(self) -> None:
        """Do nothing: the other display draws."""

    def start(self, package: str, version: str, step: str) -> None:
        """Tell that work on a package begins, with the step named."""
        super().start(package, version, step)
        self._tell(package, step)

    def step(self, package: str, step: str) -> None:
        """Tell that a package has come to its next step."""
        super().step(package, step)
        self._tell(package, step)

    def detail(self, package: str, text: str) -> None:
        """Tell something of passing interest."""
        self._outer.detail(self._row, f"{package}: {text}")

    def line(self, package: str, text: str) -> None:
        """Tell one line that a program printed."""
        self._outer.line(self._row, f"{package}: {text}")

    def message(self, text: str) -> None:
        """Print a remark."""
        self._outer.message(f"{self._row}: {text}")

    def warning(self, text: str) -> None:
        """Print something the user should know, though the work goes on."""
        self._outer.warning(f"{self._row}: {text}")

    def _tell(self, package: str, step: str) -> None:
        self._outer.step(self._row, step)
        self._outer.detail(self._row, package)

    def _announce(self, ended: Ended) -> None:
        """Do nothing: the row ends when all of its packages have."""
