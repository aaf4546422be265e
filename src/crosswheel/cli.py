"""The command line: one small function for each command; it parses, calls and prints."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.console import Console

from crosswheel import __version__, targets
from crosswheel.check.command import examine_wheels
from crosswheel.doctor import examine
from crosswheel.errors import CrosswheelError, Interrupted
from crosswheel.files import explained_storage_errors
from crosswheel.index import write_site
from crosswheel.job.closures import closure_of
from crosswheel.job.locking import renew
from crosswheel.job.running import run_closure
from crosswheel.job.workplace import Trees, Workplace
from crosswheel.process import Cancellation, Runner
from crosswheel.progress import Display, Row, display, show_error, table
from crosswheel.recipes.loader import load_folder
from crosswheel.registry import Registry
from crosswheel.settings import Settings

app = typer.Typer(
    name="crosswheel",
    help=__doc__
    and "Name a Python package and a machine that cannot build it; get an index it can install from.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class BuildType(str, Enum):
    """What ``build`` makes: wheels, the index of them, or both."""

    PACKAGES_ONLY = "packages-only"
    INDEX_ONLY = "index-only"
    BOTH = "both"


class ContainerSource(str, Enum):
    """The original tool's ways to its container."""

    BUILD = "build"
    PULL = "pull"
    ANY = "any"


RecipesOption = Annotated[Path, typer.Option("--recipes", help="The folder of recipes.")]
TargetOption = Annotated[
    str, typer.Option("--target", help="The machine to build for: a name, or a TOML file.")
]
VerboseOption = Annotated[bool, typer.Option("--verbose", help="Show what every program prints.")]
OutputOption = Annotated[
    Optional[Path],
    typer.Option("--output", "-o", help="Write what is shown to a file instead of the terminal."),
]
DistOption = Annotated[Path, typer.Option("--dist-tree-root", help="Where the wheels go.")]
BuildOption = Annotated[
    Path, typer.Option("--build-tree-root", help="Where builds happen, and their logs stay.")
]
IndexOption = Annotated[Path, typer.Option("--index-tree-root", help="Where the index goes.")]
_TARGETS = Path("targets")
_RECIPES, _DIST, _BUILD, _INDEX = Path("packages"), Path("dist"), Path("build"), Path("index")


@app.command()
def build(
    recipes: RecipesOption = _RECIPES,
    target: TargetOption = "ot2",
    build_type: Annotated[
        BuildType, typer.Option(help="Wheels, the index of them, or both.")
    ] = BuildType.BOTH,
    verbose: VerboseOption = False,
    output: OutputOption = None,
    dist_tree_root: DistOption = _DIST,
    build_tree_root: BuildOption = _BUILD,
    index_tree_root: IndexOption = _INDEX,
    index_root_url: Annotated[
        Optional[str],
        typer.Option(help="The address the index will have; its links are relative without it."),
    ] = None,
    container_tag: Annotated[Optional[str], typer.Option(help="Accepted; no container is used.")] = None,
    container_source: Annotated[
        Optional[ContainerSource], typer.Option(help="Accepted; no container is used.")
    ] = None,
    prep_container_only: Annotated[
        bool, typer.Option(help="Prepare the toolchain, which takes the container's place, and stop.")
    ] = False,
) -> None:
    """Build every package in the folder of recipes, with all its dependencies, and the index of them."""
    trees = Trees(build_tree_root.absolute(), dist_tree_root.absolute(), index_tree_root.absolute())
    rows: list[Row] = []
    with _console(output) as console, _workplace(console, recipes, target, trees, verbose) as place:
        if container_tag or container_source:
            place.display.message("No container is used: the toolchain is zig, in the cache folder.")
        if prep_container_only:
            place.environment((), False)
            place.display.message("The toolchain is ready, and its cross view is verified.")
            return
        if build_type is not BuildType.INDEX_ONLY:
            for root in place.recipes.roots:
                rows += run_closure(closure_of(root, place), place)
            place.display.summary(rows)
        failed = [row for row in rows if row.error]
        if build_type is not BuildType.PACKAGES_ONLY:
            summary = write_site(trees.dist, trees.index, root_url=index_root_url)
            place.display.message(f"The index is in {trees.index}/simple: {summary.wheels} wheels.")
    if failed:
        raise typer.Exit(1)


@app.command()
def plan(recipes: RecipesOption = _RECIPES, target: TargetOption = "ot2") -> None:
    """Show for each package whether its published wheel is taken or it is built, and why."""
    with _console(None) as console, _workplace(console, recipes, target, _default_trees(), False) as place:
        for root in place.recipes.roots:
            steps = closure_of(root, place).steps.values()
            rows = [
                [s.pin.name, s.pin.version, s.action, s.reason]
                for s in sorted(steps, key=lambda s: s.pin.name)
            ]
            table(console, ", ".join(root.roots), ["package", "version", "choice", "reason"], rows)


@app.command()
def lock(
    recipes: RecipesOption = _RECIPES, target: TargetOption = "ot2", verbose: VerboseOption = False
) -> None:
    """Resolve every package's dependencies anew, as of its recipe's day, and show what changed."""
    with _console(None) as console, _workplace(console, recipes, target, _default_trees(), verbose) as place:
        for root in place.recipes.roots:
            if root.as_of is None:
                place.display.message(
                    f"{root.name} {root.version}: its recipe has no as_of, so it has no lock."
                )
                continue
            changed = renew(root, place)
            place.display.message("\n".join(changed or [f"{root.name} {root.version}: nothing changed"]))


@app.command()
def check(
    wheels: Annotated[list[Path], typer.Argument(help="Wheels, from anywhere.", show_default=False)],
    target: TargetOption = "ot2",
    run: Annotated[
        bool,
        typer.Option(help="Also import their extension modules on the emulated target, all wheels together."),
    ] = False,
) -> None:
    """Check whether wheels would load on the target: exit code 0 or 1, and a line for each fault."""
    faults = examine_wheels(wheels, targets.load(target, _TARGETS), Settings.from_environment(), run=run)
    for fault in faults:
        print(fault)
    if faults:
        raise typer.Exit(1)


@app.command()
def doctor(target: TargetOption = "ot2") -> None:
    """Tell what this machine has of all that builds need, what is missing, and what to do."""
    chosen, settings = targets.load(target, _TARGETS), Settings.from_environment()
    findings = list(examine(chosen, settings, Runner()))
    rows = [[finding.name, finding.state, finding.detail, finding.remedy] for finding in findings]
    table(Console(), f"Building for {chosen.title}", ["part", "state", "found", "what to do"], rows)
    if any(finding.state == "missing" for finding in findings):
        raise typer.Exit(1)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"crosswheel {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Name a Python package and a machine that cannot build it; get an index it can install from."""


def _default_trees() -> Trees:
    return Trees(_BUILD.absolute(), _DIST.absolute(), _INDEX.absolute())


@contextlib.contextmanager
def _console(output: Optional[Path]) -> Iterator[Console]:
    if output is None:
        yield Console()
        return
    with explained_storage_errors(output), output.open("w") as stream:
        yield Console(file=stream)


@contextlib.contextmanager
def _workplace(
    console: Console, recipes: Path, target: str, trees: Trees, verbose: bool
) -> Iterator[Workplace]:
    settings = Settings.from_environment()
    loaded = load_folder(recipes.absolute(), trees.dist)
    chosen = targets.load(target, _TARGETS)
    with Registry(settings) as registry, _display(console, verbose) as shown:
        yield Workplace(chosen, loaded, settings, trees, registry, shown, Cancellation())


@contextlib.contextmanager
def _display(console: Console, verbose: bool) -> Iterator[Display]:
    with display(console, verbose=verbose) as shown:
        yield shown


def main() -> None:
    """Run the command line; every error a user can cause ends in one message and the right exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # children end, and the terminal is restored
    try:
        app()
    except CrosswheelError as error:
        show_error(Console(stderr=True), error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        stopped = Interrupted("stopped", hint="run the same command again: it goes on where it stopped.")
        show_error(Console(stderr=True), stopped)
        sys.exit(stopped.exit_code)
