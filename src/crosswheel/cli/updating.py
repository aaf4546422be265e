"""The commands that keep locks current: outdated and update."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated

import typer
from packaging.utils import canonicalize_name
from rich.console import Console

from crosswheel.audit.security_updates import Advised, Mending, mending
from crosswheel.cli.auditing import AdvisoryOptions
from crosswheel.cli.common_options import SandboxOption, SdkOption, TargetOption, VerboseOption
from crosswheel.cli.options import Scene, day
from crosswheel.cli.spreading import spread
from crosswheel.cli.trees import RECIPES, RecipesOption
from crosswheel.files import write_text
from crosswheel.job.context import BuildContext
from crosswheel.job.recipe_projects import offering_recipes
from crosswheel.job.updating import (
    Change,
    Standing,
    as_markdown,
    locked_roots,
    python_standing,
    renew_and_prove,
    standings,
    update_root,
)
from crosswheel.lock import Lock, Pin
from crosswheel.progress import table
from crosswheel.progress.wording import size
from crosswheel.recipes.model import Recipe

NamesArgument = Annotated[
    list[str] | None, typer.Argument(help="Packages in the locks; all that is locked without any.")
]


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
    scene = Scene(recipes)
    with scene.console() as console, scene.context(console, target) as opened:
        context = offering_recipes(opened)
        found = standings(context, names or ())
        python = None if names else python_standing(context)
        found += [python] if python else []
        advisories = _advisories(names, _advised(known, context), context) if known.osv else {}
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


def update(
    known: AdvisoryOptions,
    names: NamesArgument = None,
    to: Annotated[
        str | None, typer.Option("--to", help="The day to be as new as: YYYY-MM-DD; today if not given.")
    ] = None,
    security: Annotated[
        bool, typer.Option("--security", help="Renew only what has to change because an advisory affects it.")
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
    """Renew locks, build and prove what they have, and show what changed; what fails leaves its lock as it was."""
    until = day(to) or datetime.datetime.now(datetime.timezone.utc).date()
    if security:
        _ = known.sources  # refused before anything is done
    scene = Scene(recipes, verbose=verbose, sdk=sdk, sandbox=sandbox)
    tables, unmended = [], []
    with scene.console() as console, scene.context(console, target) as opened:
        context = offering_recipes(opened)
        advised = _advised(known, context) if security else None
        for root, lock in locked_roots(context, names or ()):
            lines: list[str] = []
            if advised:
                plan = mending(root, lock, names or (), until, advised, context)
                changes = _mend(root, lock, plan, context)
                lines = [f"no release mends {pin}: {reason}" for pin, reason in plan.unmended.items()]
            else:
                changes = update_root(root, lock, names or (), until, context)
            title = f"{root.name} {root.version} for {context.target.title}, as of {until}"
            _show(title, changes, console)
            for line in lines:
                context.display.warning(line)
            unmended += lines
            tables.append(as_markdown(title, changes) + "".join(f"\n{line}\n" for line in lines))
    if report:
        write_text(report, "\n".join(tables))
    if unmended:
        raise typer.Exit(1)


def _advised(known: AdvisoryOptions, context: BuildContext) -> Advised:
    return Advised(known.sources, known.excused, datetime.datetime.now(datetime.timezone.utc), context)


def _advisories(
    names: list[str] | None, advised: Advised, context: BuildContext
) -> dict[tuple[str, Pin], str]:
    """Return what affects the locked releases that are meant, by what each is locked for."""
    meant = {canonicalize_name(name) for name in names or ()}
    found = {}
    for root, lock in locked_roots(context, names or ()):
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
