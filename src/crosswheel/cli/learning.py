"""Defines the commands target learn, target check and target update."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from crosswheel import targets
from crosswheel.cli.robot_options import Login
from crosswheel.cli.trees import DIST, TARGETS, DistOption
from crosswheel.errors import TargetError, UsageError
from crosswheel.process import Runner
from crosswheel.progress import activity
from crosswheel.progress.wording import plural
from crosswheel.settings import Settings
from crosswheel.targets import Target
from crosswheel.userlands import UserlandStore

if TYPE_CHECKING:
    from crosswheel.learning.description import Learned

NameArgument = Annotated[str, typer.Argument(help="The name of the target.", show_default=False)]


@dataclass(frozen=True)
class LearningSource:
    """The source that a machine is learned from."""

    rootfs: Annotated[
        Path | None,
        typer.Option(
            "--rootfs",
            help="Its root file system: a folder, a tar archive as of docker export, an image of SquashFS or ext4.",
        ),
    ] = None
    robot: Annotated[
        str | None, typer.Option("--robot", help="The machine itself, as for ssh: a name or an address.")
    ] = None

    provided: Annotated[
        str | None,
        typer.Option(
            "--python", help="The Python to build and send there, such as 3.13, if it has none itself."
        ),
    ] = None

    @property
    def is_named(self) -> bool:
        """Whether the command line names a source of the machine."""
        return bool(self.rootfs or self.robot)

    def learned(
        self,
        name: str,
        title: str | None,
        login: Login,
        tell: Callable[[str], None],
        *,
        facts_only: bool = False,
    ) -> Learned:
        """Learn the machine.

        Raises:
            UsageError: no source is named, or two are.
        """
        from crosswheel.learning.learn import Named, learn_root
        from crosswheel.learning.over_ssh import learn_robot

        settings, named = Settings.from_environment(), Named(name, title, self.provided)
        if self.provided:
            targets.python_source(self.provided)
        if self.robot and not self.rootfs:
            return learn_robot(named, login.to(self.robot), settings, tell, facts_only=facts_only)
        if self.robot or not self.rootfs or facts_only:
            raise UsageError(
                "name either the machine itself with --robot, or its root file system with --rootfs",
                hint="--facts-only is for --robot.",
            )
        return learn_root(named, self.rootfs, settings, Runner(), tell)


def learn(
    name: NameArgument,
    machine: LearningSource,
    login: Login,
    facts_only: Annotated[
        bool,
        typer.Option("--facts-only", help="With --robot: write the target file only, and keep no libraries."),
    ] = False,
    title: Annotated[
        str | None, typer.Option("--title", help="The title of the machine, for people.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace another machine's file of this name.")
    ] = False,
    dist_tree_root: DistOption = DIST,
) -> None:
    """Learn a machine: write targets/NAME.toml, and keep its own libraries and Python, which wheels are proven with."""
    from crosswheel.learning.learn import require_name, write_target

    require_name(name)
    with activity(Console(stderr=True)) as tell:
        learned = machine.learned(name, title, login, tell, facts_only=facts_only)
    before = _written(name)
    path, target = write_target(learned, TARGETS, replace=replace)
    typer.echo(f"{target.title}: written to {path}; `crosswheel target show {name}` shows it")
    _tell_changes(before, target, dist_tree_root)


def update(
    name: NameArgument, machine: LearningSource, login: Login, dist_tree_root: DistOption = DIST
) -> None:
    """Learn a machine again, and show what changed since, and which wheels are no longer proven for it."""
    before = _written(name)
    if before is None:
        raise TargetError(
            f"there is no {TARGETS / name}.toml",
            hint=f"learn the machine first: crosswheel target learn {name} …",
        )
    learn(name, machine, login, facts_only=False, title=before.title, dist_tree_root=dist_tree_root)


def check(name: NameArgument, machine: LearningSource, login: Login) -> None:
    """Tell whether what is kept of a machine is whole; with --robot or --rootfs, also what changed since."""
    from crosswheel.learning.changes import changes
    from crosswheel.learning.description import description

    target, store = targets.load(name, TARGETS), UserlandStore(Settings.from_environment().cache)
    faults = _kept_faults(target, store)
    if machine.is_named:
        with activity(Console(stderr=True)) as tell:
            learned = machine.learned(target.name, target.title, login, tell)
        faults += changes(target, description(f"{name}.toml", learned)[1], store)
    for fault in faults:
        print(fault)
    if faults:
        typer.echo(f"learn it again: crosswheel target update {name} …", err=True)
        raise typer.Exit(1)
    typer.echo(f"{target.title} is as it was learned", err=True)


def _kept_faults(target: Target, store: UserlandStore) -> list[str]:
    if target.userland is None:
        return [f"{target.title} was not learned: it has no userland"]
    userland = store.kept(target.userland.digest)
    if userland is None:
        return [f"its userland {target.userland.digest[:12]} is not in this cache"]
    return [f"{path} is not what was kept" for path in userland.damaged()]


def _written(name: str) -> Target | None:
    path = TARGETS / f"{name}.toml"
    return targets.load(str(path)) if path.is_file() else None


def _tell_changes(before: Target | None, target: Target, dist: Path) -> None:
    from crosswheel.learning.changes import changes, no_longer_proven

    if before is None:
        return
    lines = changes(before, target, UserlandStore(Settings.from_environment().cache))
    typer.echo("\n".join(["changed since it was learned:", *lines] if lines else ["nothing changed"]))
    unproven = no_longer_proven(target, dist)
    if unproven:
        typer.echo(f"{plural(len(unproven), 'wheel')} in {dist} no longer proven for it; build again:")
        typer.echo("\n".join(unproven))
