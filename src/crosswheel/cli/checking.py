"""Defines the commands check and doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from crosswheel import targets
from crosswheel.cli.common_options import SandboxOption, TargetOption
from crosswheel.cli.idle_options import given_login, refuse_idle
from crosswheel.cli.machine_options import machine_at
from crosswheel.cli.options import settings_for
from crosswheel.cli.robot_options import Login
from crosswheel.cli.spreading import spread
from crosswheel.cli.trees import TARGETS
from crosswheel.doctor import examine
from crosswheel.job.examining import examine_wheels
from crosswheel.process import Runner
from crosswheel.progress import activity, table
from crosswheel.progress.wording import plural, printable
from crosswheel.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(spread(check))
    app.command()(doctor)


def check(
    wheels: Annotated[
        list[Path],
        typer.Argument(help="The wheels to check.", show_default=False, exists=True, dir_okay=False),
    ],
    login: Login,
    target: TargetOption = "ot2",
    run: Annotated[
        bool, typer.Option("--run", help="Also import their modules on the emulated target, all together.")
    ] = False,
    on: Annotated[
        str | None,
        typer.Option("--on", help="Also import their modules on this real machine, named as for ssh."),
    ] = None,
    sandbox: SandboxOption = None,
) -> None:
    """Check whether wheels would load on the target: exit code 0 or 1, and a line for each fault."""
    refuse_idle(given_login(login), "without --on", idle=not on)
    chosen = targets.load(target, TARGETS)
    errors = Console(stderr=True)
    with machine_at(on, login, chosen) as machine, activity(errors) as tell:
        settings = settings_for(sandbox)
        examined = examine_wheels(wheels, chosen, settings, run=run, tell=tell, machine=machine)
    unproven = [
        f"{module} was not imported: {reason} (name the wheels that it needs as well)"
        for module, reason in examined.skipped.items()
    ]
    unproven += [f"not proven: {need}" for need in examined.unproven]
    for warning in (*examined.warnings, *unproven):
        typer.echo(f"warning: {printable(errors, warning)}", err=True)
    for fault in examined.faults:
        print(printable(Console(), str(fault)))
    if examined.faults:
        raise typer.Exit(1)
    imported = f"{plural(len(examined.imported), 'module')} imported"
    ran = imported if run or on else "nothing was run, as --run would"
    ran += f", on {on} itself" if on else ""
    typer.echo(f"{plural(len(wheels), 'wheel')} without fault for {chosen.title}; {ran}", err=True)


def doctor(target: TargetOption = "ot2") -> None:
    """Tell what this machine has of all that builds need, what is missing, and what to do."""
    chosen = targets.load(target, TARGETS)
    findings = list(examine(chosen, Settings.from_environment(), Runner()))
    rows = [[finding.name, finding.state, finding.detail, finding.remedy] for finding in findings]
    table(Console(), f"Building for {chosen.title}", ["part", "state", "found", "what to do"], rows)
    alternatives = ", ".join(name for name in targets.names(TARGETS) if name != chosen.name)
    typer.echo(
        f"Other targets, for --target: {alternatives}; a robot of another kind is a file, see docs/targets.md."
    )
    if any(finding.state == "missing" for finding in findings):
        raise typer.Exit(1)
