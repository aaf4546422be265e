"""What came of each release is told as it was."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import cast

import pytest
from rich.console import Console

from crosswheel.errors import BuildFailed, CrosswheelError, Interrupted
from crosswheel.job.context import Workplace
from crosswheel.job.made import Made
from crosswheel.job.running import _shown
from crosswheel.process import Cancellation
from crosswheel.progress import display


@pytest.mark.parametrize("stopped", [True, False])
def test_what_ends_because_the_user_stops_it_has_not_failed(stopped: bool) -> None:
    shown, cancellation = io.StringIO(), Cancellation()
    place = SimpleNamespace(display=display(Console(file=shown), verbose=False), cancellation=cancellation)

    def make() -> Made:
        if stopped:
            cancellation.cancel()
        raise BuildFailed("cc ended with exit code -15", hint="")

    place.display.expect([("a", "1")])
    error: type[CrosswheelError] = Interrupted if stopped else BuildFailed
    with pytest.raises(error):
        _shown(cast(Workplace, place), "a", make)
    assert ("failed" in shown.getvalue()) != stopped
