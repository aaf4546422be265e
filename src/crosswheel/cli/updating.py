"""Defines the commands that keep locks current: outdated and update."""

from __future__ import annotations

import datetime
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from packaging.utils import canonicalize_name
from rich.console import Console

from crosswheel.audit.security_updates import Advised, Mending, mending
from crosswheel.cli.auditing import SOURCES_VARIABLE, AdvisoryOptions
from crosswheel.cli.common_options import SandboxOption, SdkOption, TargetOption, VerboseOption
from crosswheel.cli.idle_options import refuse_idle
from crosswheel.cli.options import Scene, day
from crosswheel.cli.spreading import spread
from crosswheel.cli.trees import RECIPES, RecipesOption
from crosswheel.errors import UsageError
from crosswheel.files import write_text
from crosswheel.job.committing import Repository
from crosswheel.job.context import BuildContext
from crosswheel.job.recipe_projects import offering_recipes
from crosswheel.job.updating import (
    Change,
    Standing,
    as_markdown,
    locked_roots,
    out_of_reach,
    python_standing,
    renew_and_prove,
    restored_on_failure,
    standings,
    update_root,
)
from crosswheel.lock import Lock, Pin
from crosswheel.process import Runner
from crosswheel.progress import table
from crosswheel.progress.wording import size
from crosswheel.recipes.loader import Recipes
from crosswheel.recipes.model import Recipe
from crosswheel.targets import Target

NamesArgument = Annotated[list[str] | None, typer.Argument(help="Packages in the locks; by default, all.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(spread(outdated))
    app.command()(spread(update))


def outdated(
    known: AdvisoryOptions,
    names: NamesArgument = None,
    recipes: RecipesOption = RECIPES,
    target: TargetOption = "ot2",
) -> None:
    """Show which locked releases have newer ones, and which were withdrawn, vanished or changed upstream."""
    refuse_idle(known.details, "without --advisories", idle=not known.osv)
    scene = Scene(recipes)
    with scene.console() as console, scene.context(console, target) as opened:
        context = offering_recipes(opened)
        found = standings(context, names or ())
        python = None if names else python_standing(context)
        found += [python] if python else []
        advisories = (
            _advisories(names, _advised(known, context), context.recipes, context.target) if known.osv else {}
        )
    rows = {(s.root, s.pin): s for s in (*(Standing(*key) for key in advisories), *found)}
    cells = [
        [s.pin.name, s.pin.version, str(s.newest or ""), s.root, s.fault or "", advisories.get(key, "")]
        for key, s in sorted(rows.items(), key=lambda item: (item[0][0], item[0][1].name))
    ]
    columns = ["package", "locked", "newest that fits", "locked for", "what became of it", "advisories"]
    width = len(columns) if known.osv else len(columns) - 1
    if cells:
        table(console, "outdated", columns[:width], [row[:width] for row in cells])
    else:
        console.print("Everything that is locked is the newest that fits, and as it was locked.")
    if python:
        console.print(
            f"This crosswheel builds Python {python.pin.version}; for {python.newest}, a newer crosswheel or "
            "[python.source] in a target's file is needed.",
            soft_wrap=True,
        )
    raise typer.Exit(1 if advisories or any(standing.fault for standing in found) else 0)


@dataclass(frozen=True)
class CommitOptions:
    """The options for committing an update."""

    commit: Annotated[
        bool, typer.Option("--commit", help="Commit the changes on the branch that is checked out.")
    ] = False
    branch: Annotated[
        str | None,
        typer.Option(
            "--branch", help="Commit the changes on a new branch of this name; your folder stays as it is."
        ),
    ] = None

    def repository(self, recipes: Path, runner: Runner) -> Repository | None:
        """Return the repository to commit to; ``None`` if no commit was asked for.

        Raises:
            UsageError: both options were given, or nothing can be committed there.
        """
        if self.commit and self.branch:
            raise UsageError(
                "--commit is for the branch that is checked out, and --branch for a new one",
                hint="give one of them.",
            )
        if not self.commit and self.branch is None:
            return None
        return Repository.of(recipes, runner, self.branch)


def update(
    known: AdvisoryOptions,
    committed: CommitOptions,
    names: NamesArgument = None,
    to: Annotated[
        str | None,
        typer.Option("--to", help="Update to the releases of this day: YYYY-MM-DD; by default, today."),
    ] = None,
    security: Annotated[
        bool, typer.Option("--security", help="Update only releases that an advisory affects.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option("--report", help="A file for the table of changes, as Markdown.")
    ] = None,
    recipes: RecipesOption = RECIPES,
    target: TargetOption = "ot2",
    sdk: SdkOption = None,
    sandbox: SandboxOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Renew locks, build and prove what they have, and show what changed; what fails leaves everything as it was."""
    advisories = (
        known.osv if SOURCES_VARIABLE not in os.environ else None
    )  # the variable is meant for other commands, too
    refuse_idle({"--advisories": advisories, **known.details}, "without --security", idle=not security)
    until = day(to) or datetime.datetime.now(datetime.timezone.utc).date()
    if security:
        _ = known.sources  # refused before anything is done
    scene = Scene(recipes, verbose=verbose, sdk=sdk, sandbox=sandbox)
    with scene.console() as console, scene.context(console, target) as opened:
        context = offering_recipes(opened)
        repository = committed.repository(context.recipes.folder, context.general_runner)
        advised = _advised(known, context) if security else None
        roots = locked_roots(context.recipes, context.target, names or ())
        with restored_on_failure([root for root, _ in roots], context.target):
            updates = [_update(root, lock, names or (), until, advised, context) for root, lock in roots]
        for done in updates:
            _show(done.title, done.changes, console)
            for line in (*done.unmended, *done.out_of_reach):
                context.display.warning(line)
        text = "\n".join(done.markdown for done in updates)
        if repository:
            _commit(repository, committed.branch, updates, text, console)
    if report:
        write_text(report, text)
    if any(done.unmended for done in updates):
        raise typer.Exit(1)


@dataclass(frozen=True)
class _Updated:
    """The changes of one root's lock in an update."""

    title: str
    changes: list[Change]
    unmended: list[str]
    out_of_reach: list[str] = field(default_factory=list)

    @property
    def markdown(self) -> str:
        return as_markdown(self.title, self.changes) + "".join(
            f"\n{line}\n" for line in (*self.unmended, *self.out_of_reach)
        )


def _update(
    root: Recipe,
    lock: Lock,
    names: Collection[str],
    until: datetime.date,
    advised: Advised | None,
    context: BuildContext,
) -> _Updated:
    title = f"{root.name} {root.version} for {context.target.title}, as of {until}"
    if advised is None:
        changes = update_root(root, lock, names, until, context)
        return _Updated(title, changes, [], out_of_reach(root, names, until, context))
    plan = mending(root, lock, names, until, advised, context)
    lines = [f"no release mends {pin}: {reason}" for pin, reason in plan.unmended.items()]
    return _Updated(title, _mend(root, lock, plan, context), lines)


def _commit(
    repository: Repository, branch: str | None, updates: Sequence[_Updated], text: str, console: Console
) -> None:
    changes = [change for done in updates for change in done.changes]
    some = ", ".join(dict.fromkeys(f"{change.name} {change.new or 'gone'}" for change in changes[:3]))
    others = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
    commit = repository.commit(f"Renew locks: {some or 'their days'}{others}\n\n{text}", branch)
    where = f" on the branch {branch}" if branch else ""
    told = f"Committed as {commit[:12]}{where}." if commit else "Nothing changed, and nothing was committed."
    console.print(told, highlight=False, markup=False)


def _advised(known: AdvisoryOptions, context: BuildContext) -> Advised:
    return Advised(known.sources, known.excused, datetime.datetime.now(datetime.timezone.utc), context)


def _advisories(
    names: list[str] | None, advised: Advised, recipes: Recipes, target: Target
) -> dict[tuple[str, Pin], str]:
    """Return the advisories that affect the named locked releases, by the root that locks each."""
    meant = {canonicalize_name(name) for name in names or ()}
    found = {}
    for root, lock in locked_roots(recipes, target, names or ()):
        for name, findings in advised.affected(lock.pins.values()).items():
            if not meant or name in meant:
                key = f"{root.name} {root.version}", lock.pins[name]
                found[key] = ", ".join(finding.id for finding in findings)
    return found


def _mend(root: Recipe, lock: Lock, plan: Mending, context: BuildContext) -> list[Change]:
    return renew_and_prove(root, root, lock, plan.renewal, context) if plan.renewal else []


def _show(title: str, changes: list[Change], console: Console) -> None:
    if not changes:
        console.print(f"{title}: nothing changed", highlight=False)
        return
    rows = [
        [
            change.name,
            change.old or "new",
            change.new or "gone",
            size(change.old_size) if change.old_size else "",
            size(change.new_size) if change.new_size else "",
            change.changelog or "",
        ]
        for change in changes
    ]
    table(console, title, ("package", "from", "to", "size", "new size", "changes"), rows)
