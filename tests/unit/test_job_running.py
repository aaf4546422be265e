"""What came of each release is told as it was."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from rich.console import Console

from crosswheel.errors import BuildFailed, CrosswheelError, Interrupted
from crosswheel.job.context import BuildContext, Trees
from crosswheel.job.record import WheelRecord
from crosswheel.job.running import _failure, _make_and_report
from crosswheel.process import Cancellation
from crosswheel.progress import Row, display


@pytest.mark.parametrize("stopped", [True, False])
def test_what_ends_because_the_user_stops_it_has_not_failed(stopped: bool) -> None:
    shown, cancellation = io.StringIO(), Cancellation()
    progress = display(Console(file=shown), verbose=False)

    def make() -> WheelRecord:
        if stopped:
            cancellation.cancel()
        raise BuildFailed("cc ended with exit code -15", hint="")

    progress.expect([("a", "1")])
    error: type[CrosswheelError] = Interrupted if stopped else BuildFailed
    with pytest.raises(error):
        _make_and_report(progress, cancellation, "a", make)
    assert ("failed" in shown.getvalue()) != stopped


def test_what_is_published_of_a_failure_names_no_folder_of_the_machine_and_no_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / "work").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home / "work")
    context = SimpleNamespace(
        trees=Trees(home / "work/bt", home / "work/dist", home / "work/index"),
        recipes=SimpleNamespace(folder=tmp_path / "recipes"),
        settings=SimpleNamespace(cache=home / ".cache/crosswheel"),
        target=SimpleNamespace(name="ot2"),
    )
    context.public = partial(BuildContext.public, cast(BuildContext, context))
    message = (
        f"cc: {home}/work/bt/a/1/x.c, {home}/work/dist, {tmp_path}/recipes/a, "
        f"{home}/.cache/crosswheel/zig/cc, {home}/x, {home}work, git https://user:secret@host.example/a"
    )
    row = Row(
        "a", "1", "failed", 0.0, None, "", message, f"the whole output is in {home}/work/bt/a/1/build.log.", 1
    )
    failure = _failure(row, cast(BuildContext, context))
    assert failure.message == (
        f"cc: build/a/1/x.c, dist, packages/a, cache/zig/cc, ~/x, {home}work, git https://host.example/a"
    )
    assert failure.hint == "the whole output is in build/a/1/build.log."
