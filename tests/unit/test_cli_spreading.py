"""Options that belong together are written once, and are on the command line as if each command had written them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from crosswheel.cli.spreading import spread

SAID: list[object] = []


@dataclass(frozen=True)
class Place:
    street: Annotated[str | None, typer.Option("--street", help="Where.")] = None
    numbers: Annotated[list[int] | None, typer.Option("--number")] = None
    plan: Annotated[Path, typer.Option("--plan")] = Path("plan")


def visit(who: Annotated[str, typer.Argument()], place: Place, again: bool = False) -> None:
    """Visit somebody."""
    SAID.append((who, place, again))


@pytest.fixture
def app() -> typer.Typer:
    SAID.clear()
    app = typer.Typer()
    app.command()(spread(visit))
    return app


def test_a_command_gets_the_value_made_of_its_options(app: typer.Typer) -> None:
    words = ["me", "--number", "1", "--street", "here", "--number", "2", "--again"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert [("me", Place("here", [1, 2]), True)] == SAID


def test_what_is_not_given_has_its_default(app: typer.Typer) -> None:
    assert CliRunner().invoke(app, ["me"]).exit_code == 0
    assert [("me", Place(), False)] == SAID


def test_the_help_has_every_option_and_what_the_command_says(app: typer.Typer) -> None:
    said = CliRunner().invoke(app, ["--help"]).output
    assert all(
        word in said for word in ("Visit somebody.", "--street", "Where.", "--number", "--plan", "--again")
    )


def test_an_unknown_option_is_refused(app: typer.Typer) -> None:
    assert CliRunner().invoke(app, ["me", "--place", "x"]).exit_code == 2
