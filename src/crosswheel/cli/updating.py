"""The commands that keep locks current: outdated and update."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from crosswheel.cli.common_options import SandboxOption, SdkOption, TargetOption, VerboseOption
from crosswheel.cli.options import Scene, day
from crosswheel.cli.trees import RECIPES, RecipesOption
from crosswheel.files import write_text
from crosswheel.job.recipe_projects import offering_recipes
from crosswheel.job.updating import Change, as_markdown, locked_roots, standings, update_root
from crosswheel.progress import table
from crosswheel.progress.wording import size

NamesArgument = Annotated[
    list[str] | None, typer.Argument(help="Packages in the locks; all that is locked without any.")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(outdated)
    app.command()(update)


def outdated(
    names: NamesArgument = None,
    recipes: RecipesOption = RECIPES,
    target: TargetOption = "ot2",
) -> None:
    """Show which locked releases have newer ones, and which were withdrawn, vanished or changed upstream."""
    scene = Scene(recipes)
    with scene.console() as console, scene.context(console, target) as opened:
        context = offering_recipes(opened)
        found = standings(context, names or ())
    rows = [[s.pin.name, s.pin.version, str(s.newest or ""), s.root, s.fault or ""] for s in found]
    columns = ("package", "locked", "newest that fits", "locked for", "what became of it")
    if rows:
        table(console, "outdated", columns, rows)
    else:
        console.print("Everything that is locked is the newest that fits, and as it was locked.")
    raise typer.Exit(1 if any(standing.fault for standing in found) else 0)


def update(
    names: NamesArgument = None,
    to: Annotated[
        str | None, typer.Option("--to", help="The day to be as new as: YYYY-MM-DD; today if not given.")
    ] = None,
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
    scene = Scene(recipes, verbose=verbose, sdk=sdk, sandbox=sandbox)
    tables = []
    with scene.console() as console, scene.context(console, target) as opened:
        context = offering_recipes(opened)
        for root, lock in locked_roots(context, names or ()):
            changes = update_root(root, lock, names or (), until, context)
            title = f"{root.name} {root.version} for {context.target.title}, as of {until}"
            _show(title, changes, console)
            tables.append(as_markdown(title, changes))
    if report:
        write_text(report, "\n".join(tables))


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
