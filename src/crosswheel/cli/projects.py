"""Builds a project for the commands that deploy, bundle or export it, and assembles its release."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyproject_hooks import BuildBackendWarning
from rich.console import Console

from crosswheel.cli.options import Scene, day, settings_for
from crosswheel.cli.robot_options import Wheels
from crosswheel.cli.trees import BUILD, INDEX
from crosswheel.errors import BuildFailed
from crosswheel.job.asking import Asking, prepare
from crosswheel.job.context import Trees
from crosswheel.job.running import run_closure
from crosswheel.resolver import Request
from crosswheel.targets import Target

if TYPE_CHECKING:
    from crosswheel.deploy.assembling import LockedProgram, ProvenWheel
    from crosswheel.deploy.release import Release


@dataclass(frozen=True)
class ProjectBuild:
    """The options for building a project."""

    as_of: str | None = None
    groups: Sequence[str] = ()
    upgrade: bool = False
    sandbox: str | None = None


def built_release(
    requirement: str,
    target: Target,
    target_name: str,
    wheels: Wheels,
    how: ProjectBuild,
    *,
    name: str | None,
    test: str | None,
) -> Release:
    """Build a project with its closure, and assemble its release for a target.

    Raises: as :func:`built_wheels`.
    """
    from crosswheel.deploy.assembling import assembler_for

    program, proven = built_wheels(requirement, target, target_name, wheels, how)
    assembler = assembler_for(target, settings_for(how.sandbox))
    return assembler.release(program, proven, name or program.name, test)


def built_wheels(
    requirement: str,
    target: Target,
    target_name: str,
    wheels: Wheels,
    how: ProjectBuild,
    *,
    quiet: bool = False,
) -> tuple[LockedProgram, list[ProvenWheel]]:
    """Build a project with its closure; return it as a locked program, with its wheels.

    Args:
        quiet: show progress on standard error.

    Raises:
        BuildFailed: a wheel failed; the reason was shown before.
        CrosswheelError: of the step that failed.
    """
    from crosswheel.deploy.assembling import LockedProgram, proven_wheels

    warnings.simplefilter("ignore", BuildBackendWarning)  # these warnings are for the authors of packages
    trees = Trees(BUILD.resolve(), wheels.dist_tree_root.resolve(), INDEX.resolve())
    scene = Scene(wheels.recipes, trees, named=True, sandbox=how.sandbox)
    asking = Asking(Request((requirement,)), day(how.as_of), tuple(how.groups), how.upgrade)
    with scene.context(Console(stderr=quiet), target_name) as context:
        prepared = prepare(asking.request, context, asking.groups)
        locked = asking.locked(prepared)
        rows = run_closure(locked.closure, prepared.context)
        failed = [row.package for row in rows if row.error]
        if failed:
            context.display.summary(rows)
            raise BuildFailed(
                f"{requirement} is incomplete: {', '.join(failed)} could not be made",
                hint="mend that first; the reasons are above.",
            )
        program = LockedProgram(locked.name, locked.version, locked.lock)
    return program, proven_wheels(program, trees.dist, target)
