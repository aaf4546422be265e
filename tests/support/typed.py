"""Commands as they are typed, in this process: the arguments of ``main``, and what it printed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from crosswheel.cli import main

Run = Callable[..., str]
"""Runs a command with arguments, expects an exit code (``code``, 0), and gives what it printed."""


def commands_in(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    unset: Sequence[str] = ("GITHUB_", "CROSSWHEEL_"),
) -> Run:
    """Return what runs commands in a folder, without the variables whose names begin so; keywords set others."""
    monkeypatch.chdir(folder)
    for name in [name for name in os.environ if name.startswith(tuple(unset))]:
        monkeypatch.delenv(name)

    def run(*arguments: str, code: int = 0, **environment: str) -> str:
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["crosswheel", *arguments])
            with pytest.raises(SystemExit) as ended:
                main()
        said = "".join(capsys.readouterr())
        assert (ended.value.code or 0) == code, said
        return said

    return run
