"""What commands for robots do with a project: build it first, and then put together what was proven."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console

from crosswheel.cli.options import Scene, day
from crosswheel.cli.robot_options import Wheels
from crosswheel.cli.trees import BUILD, INDEX
from crosswheel.errors import BuildFailed
from crosswheel.job.asking import Asking, prepare
from crosswheel.job.context import Trees
from crosswheel.job.running import run_closure
from crosswheel.resolver import Request
from crosswheel.targets import Target

if TYPE_CHECKING:
    from crosswheel.deploy.release import Release


@dataclass(frozen=True)
class ProjectBuild:
    """How a project is built before it is put on robots."""

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
    """Build a project with all that it needs, and put it together for a target.

    Raises:
        BuildFailed: a wheel of it could not be made or proven; which, and why, is shown before.
        CrosswheelError: of the step that failed.
    """
    from crosswheel.deploy.assembling import LockedProgram, assembler_for, proven_wheels

    trees = Trees(BUILD.resolve(), wheels.dist_tree_root.resolve(), INDEX.resolve())
    scene = Scene(wheels.recipes, trees, named=True, sandbox=how.sandbox)
    asking = Asking(Request((requirement,)), day(how.as_of), tuple(how.groups), how.upgrade)
    with scene.context(Console(), target_name) as context:
        prepared = prepare(asking.request, context, asking.groups)
        locked = asking.locked(prepared)
        rows = run_closure(locked.closure, prepared.context)
        failed = [row.package for row in rows if row.error]
        if failed:
            context.display.summary(rows)
            raise BuildFailed(
                f"{requirement} cannot be put on a robot: {', '.join(failed)} could not be made",
                hint="mend that first; the reasons are above.",
            )
        program = LockedProgram(locked.name, locked.version, locked.lock)
        settings = context.settings
    assembler = assembler_for(target, settings)
    wheels_of = proven_wheels(program, trees.dist, target)
    return assembler.release(program, wheels_of, name or program.name, test)
