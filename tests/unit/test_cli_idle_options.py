"""An option that changes nothing without another is refused: nobody is to think that it was heeded."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from crosswheel.cli import app
from crosswheel.errors import UsageError


@pytest.mark.parametrize(
    ("command", "idle", "partner"),
    [
        ("update --advisories osv.zip", "--advisories", "--security"),
        ("update --max-age 3", "--max-age", "--security"),
        ("outdated --max-age 3", "--max-age", "--advisories"),
        ("build --as-of 2025-01-01", "--as-of", "a requirement"),
        ("build --upgrade", "--upgrade", "a requirement"),
        ("build --port 2222", "--port", "--prove-on"),
        ("add demo --as-of 2025-01-01 --find-day", "--as-of", "with --find-day"),
        ("export demo==1.0 --index-root-url https://host/", "--index-root-url", "--format pylock"),
        ("deploy demo==1.0 --robot host --upgrade", "--upgrade", "a project of yours"),
        ("service --robot host --remove demo --env A=1", "--env", "with --remove"),
    ],
)
def test_an_option_that_changes_nothing_without_another_is_refused(
    monkeypatch: pytest.MonkeyPatch, command: str, idle: str, partner: str
) -> None:
    monkeypatch.delenv("CROSSWHEEL_OSV", raising=False)
    error = CliRunner().invoke(app, command.split()).exception
    assert isinstance(error, UsageError)
    assert error.message.startswith(f"{idle} has no effect with")
    assert partner in error.message
    assert idle in error.hint


def test_what_the_environment_says_to_all_commands_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSWHEEL_OSV", "nowhere")
    error = CliRunner().invoke(app, ["update", "--recipes", "nowhere"]).exception
    assert error is not None
    assert "changes nothing" not in str(error)
