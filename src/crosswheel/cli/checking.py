"""The commands that look: check and doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from crosswheel import targets
from crosswheel.check.command import examine_wheels
from crosswheel.cli.options import TargetOption
from crosswheel.cli.trees import TARGETS
from crosswheel.doctor import examine
from crosswheel.process import Runner
from crosswheel.progress import table
from crosswheel.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (check, doctor):
        app.command()(command)


def check(
    wheels: Annotated[list[Path], typer.Argument(help="Wheels, from anywhere.", show_default=False)],
    target: TargetOption = "ot2",
    run: Annotated[
        bool,
        typer.Option(
            "--run", help="Also import their extension modules on the emulated target, all together."
        ),
    ] = False,
) -> None:
    """Check whether wheels would load on the target: exit code 0 or 1, and a line for each fault."""
    faults = examine_wheels(wheels, targets.load(target, TARGETS), Settings.from_environment(), run=run)
    for fault in faults:
        print(fault)
    if faults:
        raise typer.Exit(1)


def doctor(target: TargetOption = "ot2") -> None:
    """Tell what this machine has of all that builds need, what is missing, and what to do."""
    chosen = targets.load(target, TARGETS)
    findings = list(examine(chosen, Settings.from_environment(), Runner()))
    rows = [[finding.name, finding.state, finding.detail, finding.remedy] for finding in findings]
    table(Console(), f"Building for {chosen.title}", ["part", "state", "found", "what to do"], rows)
    if any(finding.state == "missing" for finding in findings):
        raise typer.Exit(1)
