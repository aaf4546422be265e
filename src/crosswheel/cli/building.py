"""Defines the commands build, add, plan and lock."""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from pyproject_hooks import BuildBackendWarning
from rich.console import Console

from crosswheel import lock as locks
from crosswheel import targets
from crosswheel.cli.batching import Batching
from crosswheel.cli.clustering import Clustering
from crosswheel.cli.common_options import (
    AsOfOption,
    ConstraintOption,
    FromIndexOption,
    GroupOption,
    OutputOption,
    PrivateIndexOption,
    SandboxOption,
    SdkOption,
    SharedCacheOption,
    SharedCacheReadOnlyOption,
    TargetOption,
    TargetsOption,
    UpgradeOption,
    VerboseOption,
)
from crosswheel.cli.idle_options import given_login, refuse_idle
from crosswheel.cli.machine_options import ProveOnOption
from crosswheel.cli.options import Scene, day, target_names
from crosswheel.cli.release_options import ReleaseOptions
from crosswheel.cli.robot_options import Login
from crosswheel.cli.spreading import spread
from crosswheel.cli.trees import (
    BUILD,
    DIST,
    INDEX,
    RECIPES,
    TARGETS,
    BuildOption,
    DistOption,
    IndexOption,
    PythonOption,
    RecipesOption,
    RootUrlOption,
)
from crosswheel.errors import CrosswheelError, HostError, UsageError
from crosswheel.index.rendering import known_targets
from crosswheel.index.site import write_site
from crosswheel.job.adding import add_root, number_build
from crosswheel.job.asking import Asking
from crosswheel.job.closures import Closure, closure_of, roots_of
from crosswheel.job.context import BuildContext, Trees
from crosswheel.job.finding_day import FoundDay, find_day
from crosswheel.job.locking import renew
from crosswheel.job.recipe_projects import offering_recipes
from crosswheel.job.releasing import LeftOut, Releasing
from crosswheel.job.running import run_closure
from crosswheel.job.sharing import in_order
from crosswheel.private_index import private_indexes
from crosswheel.process import Cancellation
from crosswheel.progress import Display, Row, show_error, table
from crosswheel.recipes.model import Prefer, Recipe
from crosswheel.resolver import Request
from crosswheel.targets import Target


class BuildType(str, Enum):
    """What ``build`` makes: wheels, their index, or both."""

    PACKAGES_ONLY = "packages-only"
    INDEX_ONLY = "index-only"
    BOTH = "both"


class ContainerSource(str, Enum):
    """The original tool's sources of its container."""

    BUILD = "build"
    PULL = "pull"
    ANY = "any"


class Preference(str, Enum):
    """The preference for packages whose recipes state none."""

    NATIVE = "native"
    PUBLISHED = "published"
    SOURCE = "source"


RequirementsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        help="Requirements such as numpy==1.26.4, and your own projects such as ./mylib; everything in the folder "
        "of recipes without any."
    ),
]
RequirementFilesOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--requirement",
        "-r",
        help="A file of requirements, or another tool's lock: pylock.toml, uv.lock, poetry.lock, pdm.lock, "
        "Pipfile.lock.",
    ),
]
PreferOption = Annotated[
    Preference,
    typer.Option(
        help="native: take published wheels that load and are native, build the others. published: take a pure "
        "wheel too where a native one exists elsewhere. source: build whatever has a source."
    ),
]
BuildTypeOption = Annotated[BuildType, typer.Option(help="Make wheels, their index, or both.")]
FromSourceOption = Annotated[bool, typer.Option("--from-source", help="The same as --prefer source.")]


@dataclass(frozen=True)
class Container:
    """The options for the original tool's container, which the toolchain replaces."""

    container_tag: Annotated[str | None, typer.Option(help="Accepted; no container is used.")] = None
    container_source: Annotated[
        ContainerSource | None, typer.Option(help="Accepted; no container is used.")
    ] = None
    prep_container_only: Annotated[
        bool, typer.Option(help="Prepare the toolchain, which takes the container's place, and stop.")
    ] = False

    def tell(self, sdk: Path | None, console: Console) -> None:
        """Say that no container is used, if the options name one."""
        if self.container_tag or self.container_source:
            console.print(f"No container is used: the toolchain is {sdk or 'zig, in the cache folder'}.")


@dataclass(frozen=True)
class TreeRoots:
    """The options for the folders of wheels, builds and the index."""

    dist_tree_root: DistOption = DIST
    build_tree_root: BuildOption = BUILD
    index_tree_root: IndexOption = INDEX
    index_root_url: RootUrlOption = None

    @property
    def trees(self) -> Trees:
        """The absolute paths of the folders."""
        return Trees(
            self.build_tree_root.resolve(), self.dist_tree_root.resolve(), self.index_tree_root.resolve()
        )


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    # These warnings are for the authors of packages, not for their users.
    warnings.simplefilter("ignore", BuildBackendWarning)
    for command in (build, add, plan, lock):
        app.command()(spread(command))


def build(
    login: Login,
    batching: Batching,
    clustering: Clustering,
    container: Container,
    release: ReleaseOptions,
    roots: TreeRoots,
    requirements: RequirementsArgument = None,
    requirement_files: RequirementFilesOption = None,
    as_of: AsOfOption = None,
    group: GroupOption = None,
    constraint: ConstraintOption = None,
    upgrade: UpgradeOption = False,
    index: PrivateIndexOption = None,
    from_index: FromIndexOption = None,
    recipes: RecipesOption = RECIPES,
    target: TargetsOption = None,
    python: PythonOption = None,
    build_type: BuildTypeOption = BuildType.BOTH,
    prefer: PreferOption = Preference.NATIVE,
    from_source: FromSourceOption = False,
    sdk: SdkOption = None,
    sandbox: SandboxOption = None,
    shared_cache: SharedCacheOption = None,
    shared_cache_read_only: SharedCacheReadOnlyOption = False,
    verbose: VerboseOption = False,
    output: OutputOption = None,
    prove_on: ProveOnOption = None,
) -> None:
    """Build packages with all their dependencies, prove every wheel, and make the index of them."""
    request = _request(requirements, requirement_files)
    refuse_idle(given_login(login), "without --prove-on", idle=not prove_on)
    releasing = release.releasing(request, sdk)
    asking = _asking(request, as_of, group, constraint, upgrade=upgrade, releasing=releasing)
    scene = Scene(
        recipes,
        roots.trees,
        output,
        verbose,
        _choice(prefer, from_source),
        sdk,
        bool(request),
        sandbox,
        private_indexes(index or (), from_index or ()),
        shared_cache,
        shared_cache_read_only,
        batching.limits_of(asking),
        for_registry=release.for_registry,
    )
    with scene.console() as console, clustering.executor(scene, console) as executor:
        container.tell(sdk, console)
        only_prepares, codes = container.prep_container_only, list[int]()
        makes = only_prepares or build_type is not BuildType.INDEX_ONLY
        refresh = _refreshing(build_type, scene, roots.index_root_url)
        for name in _best_order(target_names(target, python)) if makes else ():
            with scene.context(console, name, prove_on, login, executor) as context:
                codes += _prepare(context) if only_prepares else _made(asking, batching, refresh, context)
        if build_type is not BuildType.PACKAGES_ONLY and not only_prepares:
            _write_index(scene, console, roots.index_root_url, codes)
    raise typer.Exit(max(codes, default=0 if build_type is BuildType.INDEX_ONLY else UsageError.exit_code))


def _refreshing(build_type: BuildType, scene: Scene, root_url: str | None) -> Callable[[], None]:
    """Return the function that renews the index while a batch runs; it does nothing if no index is made."""
    if build_type is not BuildType.BOTH:
        return lambda: None
    return partial(_write_index, scene, Console(quiet=True), root_url, ())


def _made(
    asking: Asking, batching: Batching, refresh: Callable[[], None], context: BuildContext
) -> list[int]:
    """Build the request, each requirement alone or all together; return the exit code, or none if it was left out."""
    if batching.each:
        return [batching.run(asking, context, refresh)]
    return _build_all(_jobs(asking, refresh, context), context.display, context.cancellation)


def _best_order(names: Sequence[str]) -> list[str]:
    """Return each target once, ordered so that the wheels of one are likely to run on the next."""
    loaded = {target.name: (target, name) for name in names for target in [targets.load(name, TARGETS)]}
    return [loaded[target.name][1] for target in in_order([target for target, _ in loaded.values()])]


def _choice(prefer: Preference, from_source: bool) -> Prefer:
    return "source" if from_source else prefer.value


def _prepare(context: BuildContext) -> list[int]:
    context.environment()
    context.display.message("The toolchain is ready, and its cross view is verified.")
    return [0]


def _jobs(
    asking: Asking, refresh: Callable[[], None], context: BuildContext
) -> Iterable[Callable[[], list[Row]]]:
    """Return functions that build the closure of the requirements or, without any, of each root of the recipes."""
    offering = offering_recipes(context)
    if asking.request:
        return [lambda: run_closure(*asking.closure(offering))]
    return [
        partial(_build_root, root, refresh, offering) for root in roots_of(offering.recipes, offering.target)
    ]


def _build_root(root: Recipe, refresh: Callable[[], None], context: BuildContext) -> list[Row]:
    """Build a root's closure, and the bundle wheel that plain pip needs beside the target's image."""
    # Slow to import, and not needed by the other commands in this module.
    from crosswheel.deploy.plain_pip import offer_to_plain_pip

    rows = run_closure(closure_of(root, context), context)
    if not any(row.error for row in rows):
        offer_to_plain_pip(root, context, refresh)  # the most of the index needs no bundle wheel
    return rows


def _write_index(scene: Scene, console: Console, root_url: str | None, codes: Sequence[int]) -> None:
    trees = scene.trees
    if any(codes) and not trees.dist.is_dir():
        return  # packages failed, and their messages were shown
    tell = partial(typer.echo, err=True)
    summary = write_site(
        trees.dist,
        trees.index,
        root_url=root_url,
        build=trees.build,
        described=known_targets(TARGETS),
        tell=tell,
    )
    console.print(f"The index is in {trees.index}/simple: {summary.wheels} wheels.", soft_wrap=True)
    for sentence in summary.sentences:
        console.print(sentence, soft_wrap=True)


def _request(requirements: Sequence[str] | None, files: Sequence[Path] | None) -> Request:
    return Request(tuple(requirements or ()), tuple(file.absolute() for file in files or ()))


def _asking(
    request: Request,
    as_of: str | None,
    groups: Sequence[str] | None,
    constraints: Sequence[Path] | None,
    *,
    upgrade: bool = False,
    releasing: Releasing | None = None,
) -> Asking:
    """Return the request with its options; refuse options that need a requirement if there is none."""
    given = {"--as-of": as_of, "--group": groups, "--constraint": constraints, "--upgrade": upgrade}
    refuse_idle(given, "without a requirement, a file or a project", idle=not request)
    groups, constraints = tuple(groups or ()), tuple(constraints or ())
    return Asking(request, day(as_of), groups, upgrade, constraints, releasing or Releasing())


def _build_all(
    jobs: Iterable[Callable[[], list[Row]]], display: Display, cancellation: Cancellation
) -> list[int]:
    """Build closures one after the other; return the exit code, or none if a project leaves this target out.

    A closure that fails does not stop the others.
    """
    rows: list[Row] = []
    errors: list[CrosswheelError] = []
    for job in jobs:
        try:
            rows += job()
        except LeftOut as error:
            show_error(display.console, error)
            return []
        except CrosswheelError as error:
            cancellation.raise_if_requested()
            errors.append(error)
            if isinstance(error, HostError):
                break  # no other closure can be built either
    if rows:
        display.summary(rows)
    if len(errors) == 1 and not rows:
        raise errors[0]
    for stopped in errors:
        show_error(display.console, stopped)
    return [max([*(stopped.exit_code for stopped in errors), *(row.exit_code for row in rows)], default=0)]


def add(
    requirement: Annotated[
        str,
        typer.Argument(
            help="A package, or a release of it: NAME or NAME==VERSION; or a project of yours: ./mylib, or "
            "'NAME @ git+https://HOST/REPOSITORY@TAG'."
        ),
    ],
    target: TargetsOption = None,
    python: PythonOption = None,
    as_of: AsOfOption = None,
    group: GroupOption = None,
    index: PrivateIndexOption = None,
    from_index: FromIndexOption = None,
    recipes: RecipesOption = RECIPES,
    rebuild: Annotated[
        bool,
        typer.Option("--rebuild", help="Give NAME==VERSION the next build number, and build it once more."),
    ] = False,
    find_newest: Annotated[
        bool,
        typer.Option(
            "--find-day", help="Find the newest day as of which the package can be built, proven and started."
        ),
    ] = False,
    sdk: SdkOption = None,
    sandbox: SandboxOption = None,
    shared_cache: SharedCacheOption = None,
    shared_cache_read_only: SharedCacheReadOnlyOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Offer one more package: lock its dependencies beside the recipes, then build and prove them all."""
    refuse_idle({"--as-of": as_of}, "with --find-day, which chooses the day", idle=find_newest)
    scene = Scene(
        recipes,
        verbose=verbose,
        sdk=sdk,
        named=True,
        sandbox=sandbox,
        indexes=private_indexes(index or (), from_index or ()),
        shared_caches=shared_cache,
        shared_cache_read_only=shared_cache_read_only,
    )
    codes: list[int] = []
    with scene.console() as console:
        if rebuild:
            first = targets.load(target_names(target, python)[0], TARGETS)
            number = number_build(requirement, day(as_of), scene.read_recipes(), first)
            console.print(f"{requirement} gets the build number {number}.")
        for name in target_names(target, python):
            with scene.context(console, name) as context:
                newest = find_day(requirement, offering_recipes(context)) if find_newest else None
                codes += _add(requirement, newest or day(as_of), tuple(group or ()), context)
        _write_index(scene, console, None, codes)
    raise typer.Exit(max(codes))


def _add(
    requirement: str, as_of: FoundDay | datetime.date | None, groups: Sequence[str], context: BuildContext
) -> list[int]:
    """Lock a package for one target, then build and prove it; return the exit code."""
    is_newest = isinstance(as_of, FoundDay)
    chosen = as_of.day if isinstance(as_of, FoundDay) else as_of
    root, context = add_root(requirement, chosen, offering_recipes(context), groups, moves_day=is_newest)
    if isinstance(as_of, FoundDay) and as_of.newer and as_of.reason:
        locks.note_newer(locks.path_of(root, context.target), as_of.newer, context.public(as_of.reason))
        context.display.message(
            f"{requirement} works as of {as_of.day}, found in {as_of.tried} steps; as of {as_of.newer}: {as_of.reason}"
        )
    context.display.message(f"Locked in {root.folder}: commit it once the wheels are proven.")
    return _build_all(
        [partial(_build_root, root, lambda: None, context)], context.display, context.cancellation
    )


def plan(
    requirements: RequirementsArgument = None,
    requirement_files: RequirementFilesOption = None,
    as_of: AsOfOption = None,
    group: GroupOption = None,
    constraint: ConstraintOption = None,
    index: PrivateIndexOption = None,
    from_index: FromIndexOption = None,
    recipes: RecipesOption = RECIPES,
    target: TargetsOption = None,
    python: PythonOption = None,
    prefer: PreferOption = Preference.NATIVE,
    from_source: FromSourceOption = False,
) -> None:
    """Show for each package whether its published wheel is taken or it is built, and why."""
    request = _request(requirements, requirement_files)
    asking = _asking(request, as_of, group, constraint)
    indexes = private_indexes(index or (), from_index or ())
    scene = Scene(recipes, prefer=_choice(prefer, from_source), named=bool(request), indexes=indexes)
    with scene.console() as console:
        for name in target_names(target, python):
            with scene.context(console, name) as context:
                for closure in _closures(asking, context):
                    _show_plan(closure, console, context.target)


def _closures(asking: Asking, context: BuildContext) -> Iterator[Closure]:
    offering = offering_recipes(context)
    if asking.request:
        yield asking.closure(offering)[0]
        return
    for root in roots_of(offering.recipes, offering.target):
        yield closure_of(root, offering)


def _show_plan(closure: Closure, console: Console, target: Target) -> None:
    steps = sorted(closure.steps.values(), key=lambda step: step.pin.name)
    rows = [[step.pin.name, step.pin.version, step.action, step.reason] for step in steps]
    table(console, f"{closure.title}, for {target.title}", ["package", "version", "choice", "reason"], rows)


def lock(
    index: PrivateIndexOption = None,
    from_index: FromIndexOption = None,
    recipes: RecipesOption = RECIPES,
    target: TargetOption = "ot2",
    python: PythonOption = None,
    sdk: SdkOption = None,
    sandbox: SandboxOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Resolve every package's dependencies anew, as of its recipe's day, and show what changed."""
    indexes = private_indexes(index or (), from_index or ())
    scene = Scene(recipes, verbose=verbose, sdk=sdk, sandbox=sandbox, indexes=indexes)
    named = targets.named_with_python(target, python)
    with scene.console() as console, scene.context(console, named) as opened:
        context = offering_recipes(opened)
        for root in roots_of(context.recipes, context.target):
            if root.is_alone:
                context.display.message(
                    f"{root.name} {root.version}: its recipe has no as_of, so it has no lock."
                )
                continue
            changed = renew(root, context)
            context.display.message("\n".join(changed or [f"{root.name} {root.version}: nothing changed"]))
