"""Defines options that several commands share, and makes the context that they describe."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console

from crosswheel import targets
from crosswheel.check.manylinux import release_target
from crosswheel.cli.machine_options import machine_at
from crosswheel.cli.robot_options import Login
from crosswheel.cli.trees import BUILD, DIST, INDEX, RECIPES, TARGETS
from crosswheel.errors import UsageError
from crosswheel.files import explained_storage_errors
from crosswheel.job.context import BuildContext, PackageLimits, StepExecutor, Trees
from crosswheel.private_index import PrivateIndex
from crosswheel.process import Cancellation
from crosswheel.progress import display
from crosswheel.recipes.loader import Recipes, load_folder, shipped_helpers
from crosswheel.recipes.model import Prefer
from crosswheel.registry import Registry
from crosswheel.registry.gateway import reaching_private
from crosswheel.sandbox.levels import find_sandbox
from crosswheel.settings import Settings
from crosswheel.shared_cache.configured import shared_cache_of


@dataclass(frozen=True)
class Scene:
    """The common options of a command: its recipes, its folders, and how it shows progress.

    Where packages are ``named`` on the command line, there need not be a folder of recipes unless one is named too.
    Wheels ``for_registry`` run on every CPU of the target's kind.
    """

    recipes: Path = RECIPES
    trees: Trees = field(default_factory=lambda: Trees(BUILD.resolve(), DIST.resolve(), INDEX.resolve()))
    output: Path | None = None
    verbose: bool = False
    prefer: Prefer = "native"
    sdk: Path | None = None
    named: bool = False
    sandbox: str | None = None
    indexes: tuple[PrivateIndex, ...] = ()
    shared_caches: Sequence[str] | None = None
    shared_cache_read_only: bool = False
    limits: PackageLimits = field(default_factory=PackageLimits)
    for_registry: bool = False

    @contextlib.contextmanager
    def console(self) -> Iterator[Console]:
        """Yield a console that writes to the terminal, or to the file given by ``--output``."""
        if self.output is None:
            yield Console()
            return
        with explained_storage_errors(self.output), self.output.open("w") as stream:
            yield Console(file=stream)

    def read_recipes(self) -> Recipes:
        """Return the recipes of the folder, with the helpers that ship with crosswheel."""
        folder = self.recipes.resolve()
        needless = self.named and self.recipes == RECIPES and not folder.exists()
        return Recipes(folder, (), shipped_helpers()) if needless else load_folder(folder, self.trees.dist)

    @contextlib.contextmanager
    def context(
        self,
        console: Console,
        target: str,
        prove_on: str | None = None,
        login: Login | None = None,
        executor: StepExecutor | None = None,
    ) -> Iterator[BuildContext]:
        """Yield the tools and folders of a run for one target.

        Args:
            prove_on: a real machine of the target's kind, on which wheels run as well.
            login: how to log in to it.
            executor: what makes and proves wheels, if that is not this process.
        """
        settings = replace(
            settings_for(self.sandbox),
            shared_caches=tuple(self.shared_caches or ()),
            shared_cache_read_only=self.shared_cache_read_only,
        )
        if self.indexes:
            settings = replace(settings, indexes=self.indexes)
        recipes = self.read_recipes()
        chosen = targets.load(target, TARGETS)
        if self.for_registry:
            chosen = release_target(chosen)
        with (
            Registry(settings) as registry,
            display(console, verbose=self.verbose) as progress,
            reaching_private(settings, registry) as reaching,
            machine_at(prove_on, login or Login(), chosen) as machine,
        ):
            yield BuildContext(
                chosen,
                recipes,
                reaching,
                self.trees,
                registry,
                progress,
                Cancellation(),
                self.prefer,
                self.sdk,
                shared_cache=shared_cache_of(settings, progress.warning),
                machine=machine,
                limits=self.limits,
                executor=executor,
            )


def target_names(given: list[str] | None, python: str | None) -> list[str]:
    """Return the names of a command's targets, with the Python given by ``--python``."""
    return [targets.named_with_python(name, python) for name in given or ["ot2"]]


def settings_for(sandbox: str | None) -> Settings:
    """Return the user's settings, with the sandbox that the command line names.

    Raises:
        UsageError, MissingToolError: there is no such sandbox, or this host does not allow it.
    """
    settings = Settings.from_environment()
    if sandbox is None:
        return settings
    return replace(settings, sandbox=find_sandbox(sandbox).level if sandbox != "auto" else sandbox)


def day(text: str | None) -> datetime.date | None:
    """Parse a day of the command line."""
    try:
        return datetime.date.fromisoformat(text) if text else None
    except ValueError as error:
        raise UsageError(
            f"{text!r} is not a day", hint="write it as YYYY-MM-DD, such as 2025-04-25."
        ) from error
