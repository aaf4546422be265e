"""The command line: one small function for each command; it parses, calls and prints."""

from __future__ import annotations

import signal
import sys
import warnings
from typing import Annotated

import typer
from pyproject_hooks import BuildBackendWarning
from rich.console import Console

from crosswheel import __version__
from crosswheel.cli import building, checking, indexing
from crosswheel.deploy import commands as robots
from crosswheel.errors import CrosswheelError, Interrupted
from crosswheel.progress import show_error

app = typer.Typer(
    name="crosswheel",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _room in (building, checking, indexing, robots):
    _room.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"crosswheel {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Name a Python package and a machine that cannot build it; get an index it can install from."""


def main() -> None:
    """Run the command line; every error a user can cause ends in one message and the right exit code."""
    warnings.simplefilter(
        "ignore", BuildBackendWarning
    )  # for the authors of what is built, not for who builds it
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # children end, and the terminal is restored
    try:
        app()
    except CrosswheelError as error:
        show_error(Console(stderr=True), error)
        sys.exit(error.exit_code)
    except SystemExit as ending:
        if ending.code == Interrupted.exit_code:  # typer ends so on Ctrl-C, and says nothing
            stopped = Interrupted("stopped", hint="run the same command again: it goes on where it stopped.")
            show_error(Console(stderr=True), stopped)
        raise
