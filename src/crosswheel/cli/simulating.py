"""Defines the commands run, which runs a script as on a robot under emulation, and twin, for this machine."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from crosswheel import targets
from crosswheel.cli.common_options import SandboxOption, TargetOption
from crosswheel.cli.options import Scene
from crosswheel.cli.robot_options import Wheels
from crosswheel.cli.spreading import spread
from crosswheel.cli.trees import TARGETS
from crosswheel.emulation.trials import Trial
from crosswheel.errors import UsageError
from crosswheel.job.proving import installed_site
from crosswheel.process import Runner
from crosswheel.projects.addresses import is_project
from crosswheel.targets import Target

if TYPE_CHECKING:
    from crosswheel.deploy.assembling import ProvenWheel


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    # Options after the script belong to the script.
    settings = {"ignore_unknown_options": True, "allow_interspersed_args": False}
    app.command(context_settings=settings)(spread(run))
    app.command()(spread(twin))


def run(
    words: Annotated[list[str], typer.Argument(help="A Python script, and its arguments.")],
    wheels: Wheels,
    with_: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            help="A program that the script needs and that was built, such as prefect==3.3.4, or a project.",
        ),
    ] = None,
    target: TargetOption = "ot2",
    sandbox: SandboxOption = None,
) -> None:
    """Run a script with the emulated robot's Python and proven wheels, in the sandbox: it sees its own folder alone."""
    script, *arguments = words
    path = Path(script).resolve()
    if not path.is_file():
        raise UsageError(
            f"there is no script {script}", hint="options come first: crosswheel run --target ot2 script.py."
        )
    made_for = targets.load(target, TARGETS)
    proven = [wheel for text in with_ or () for wheel in _proven(text, made_for, target, wheels, sandbox)]
    scene = Scene(wheels.recipes, named=True, sandbox=sandbox)
    with scene.context(Console(stderr=True), target) as context, tempfile.TemporaryDirectory() as scratch:
        by_name = {wheel.pin.name: wheel for wheel in proven}
        sites = [installed_site(wheel.path, wheel.proof.sha256, context) for wheel in by_name.values()]
        runner = Runner(context.cancellation, context.trees.build / "run.log", _show_line)
        code = Trial(context.emulator, sites, Path(scratch), runner).run(str(path), *arguments).returncode
    raise typer.Exit(code)


def _show_line(line: str) -> None:
    """Write a line of the script's output; skip the line that says how it was started."""
    if not line.startswith("$ "):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def _proven(
    requirement: str, target: Target, target_name: str, wheels: Wheels, sandbox: str | None
) -> list[ProvenWheel]:
    """Return the wheels of a program; build them first if it is a project."""
    if not is_project(requirement):
        return wheels.of(requirement, target)[1]
    from crosswheel.cli.projects import ProjectBuild, built_wheels  # only projects need it

    return built_wheels(requirement, target, target_name, wheels, ProjectBuild(sandbox=sandbox), quiet=True)[
        1
    ]


def twin(
    requirement: Annotated[
        str,
        typer.Argument(help="The program on the robot: one that was built, or a project, such as ./mylib."),
    ],
    wheels: Wheels,
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder for the environment.")] = Path(
        "twin"
    ),
    image: Annotated[
        bool,
        typer.Option(help="Also install the packages of the robot's image that the program does not bring."),
    ] = True,
    target: TargetOption = "ot2",
    sandbox: SandboxOption = None,
) -> None:
    """Make an environment on this machine with the very versions of the robot's, to simulate with what it will meet."""
    from crosswheel.deploy.twin import make_twin

    made_for = targets.load(target, TARGETS)
    proven = _proven(requirement, made_for, target, wheels, sandbox)
    scene = Scene(wheels.recipes, named=True, sandbox=sandbox)
    console = Console()
    with scene.context(console, target) as context:
        made = make_twin(proven, output.resolve(), context, image=image)
    for difference in made.differences:
        console.print(difference, highlight=False, markup=False, soft_wrap=True)
    console.print(
        f"{len(made.installed)} packages are in {output}, as {made_for.title} has them: {output}/bin/python",
        highlight=False,
        soft_wrap=True,
    )
