"""Defines the command export."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from crosswheel import targets
from crosswheel.cli.common_options import AsOfOption, GroupOption, SandboxOption
from crosswheel.cli.idle_options import refuse_idle
from crosswheel.cli.robot_options import TargetOption, Wheels
from crosswheel.cli.spreading import spread
from crosswheel.cli.trees import INDEX, TARGETS, IndexOption, RootUrlOption
from crosswheel.deploy.exporting import as_pylock, as_requirements, from_folder, from_site
from crosswheel.files import write_text
from crosswheel.projects.addresses import is_project


class ExportFormat(str, Enum):
    """What ``export`` writes."""

    REQUIREMENTS = "requirements"
    PYLOCK = "pylock"


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(spread(export))


def export(
    requirement: Annotated[
        str,
        typer.Argument(help="A root that was built, such as prefect==3.3.4, or a project, such as ./mylib."),
    ],
    wheels: Wheels,
    form: Annotated[
        ExportFormat,
        typer.Option("--format", help="requirements: pip's format. pylock: PEP 751, which uv and pip read."),
    ] = ExportFormat.REQUIREMENTS,
    target: TargetOption = "ot2",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file to write, instead of the terminal.")
    ] = None,
    index_tree_root: IndexOption = INDEX,
    index_root_url: RootUrlOption = None,
    as_of: AsOfOption = None,
    group: GroupOption = None,
    sandbox: SandboxOption = None,
) -> None:
    """Write the proven wheels of a program, with their hashes, for `pip install --require-hashes` or `uv pip sync`."""
    pylock = form is ExportFormat.PYLOCK
    refuse_idle({"--index-root-url": index_root_url}, "without --format pylock", idle=not pylock)
    of_project = {"--as-of": as_of, "--group": group}
    refuse_idle(of_project, "without a project of yours", idle=not is_project(requirement))
    chosen = targets.load(target, TARGETS)
    if is_project(requirement):
        from crosswheel.cli.projects import ProjectBuild, built_wheels  # only projects need it

        how = ProjectBuild(as_of, tuple(group or ()), False, sandbox)
        program, proven = built_wheels(requirement, chosen, target, wheels, how, quiet=not output)
    else:
        program, proven = wheels.of(requirement, chosen)
    if not pylock:
        text = as_requirements(program, proven, chosen)
    else:
        folder = (output.parent if output else Path.cwd()).resolve()
        site = index_tree_root.resolve()
        where = from_site(site, index_root_url, chosen) if index_root_url else from_folder(folder)
        text = as_pylock(proven, chosen, where)
    if output:
        write_text(output, text)
    else:
        sys.stdout.write(text)
