"""Defines the commands target list and target show."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from crosswheel import targets
from crosswheel.cli.learning import check, learn, update
from crosswheel.cli.spreading import spread
from crosswheel.cli.trees import TARGETS
from crosswheel.progress import table

commands = typer.Typer(
    help="Show, learn and check the machines that wheels are built for.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (learn, check, update):
        commands.command()(spread(command))
    app.add_typer(commands, name="target")


@commands.command("list")
def list_targets() -> None:
    """List the targets that ship with crosswheel, and those of this folder's `targets/`."""
    known = [targets.load(name, TARGETS) for name in targets.names(TARGETS)]
    rows = [
        [target.name, target.title, f"CPython {target.python.version}", target.abi.libc, target.machine]
        for target in known
    ]
    table(Console(), "Targets", ["name", "machine", "Python", "C library", "CPU"], rows)


@commands.command("show")
def show_target(
    target: Annotated[str, typer.Argument(help="A target: a name, or a TOML file.", show_default=False)],
) -> None:
    """Show on one screen what a machine can take."""
    # Imported here, because the commands beside this one need no toolchain.
    from crosswheel.index.machine_facts import facts

    chosen = targets.load(target, TARGETS)
    table(
        Console(),
        f"{chosen.name}: {chosen.title}",
        ["of", "what is known"],
        [list(row) for row in facts(chosen)],
    )
