"""Holds what the steps of one run share: the tools, each made when first needed, and the folders."""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from rich.console import Console

from crosswheel.build.requirements import RequirementsStore, own_store
from crosswheel.check.modules import Interpreter
from crosswheel.check.own_system import own_system
from crosswheel.check.system import System, system_of
from crosswheel.emulation.emulator import Emulator, emulator_for, kept_userland, userland
from crosswheel.emulation.pythons import compiling_pythons
from crosswheel.emulation.verification import verify
from crosswheel.errors import CrosswheelError, HostError, Interrupted
from crosswheel.files import exclusive, explained_storage_errors
from crosswheel.job.code import code_digest
from crosswheel.job.machine_runs import Machine
from crosswheel.job.single_flight import SingleFlight
from crosswheel.process import Allowance, Cancellation, Runner
from crosswheel.progress import Display, display
from crosswheel.projects.local_release import LocalRelease
from crosswheel.recipes.loader import Recipes
from crosswheel.recipes.model import Prefer, Recipe
from crosswheel.registry import Registry
from crosswheel.registry.release_files import without_password
from crosswheel.sandbox.levels import find_sandbox
from crosswheel.seals import VARIABLE, Seals
from crosswheel.settings import Settings
from crosswheel.shared_cache.cache import SharedCache
from crosswheel.targets import Target
from crosswheel.toolchain.compilers.cxx import make_c_runtime, make_cxx_library
from crosswheel.toolchain.compilers.rust import Rust, rust_for
from crosswheel.toolchain.compilers.sdk import open_sdk
from crosswheel.toolchain.compilers.zig import zig_compilers
from crosswheel.toolchain.environment import (
    C_ALONE,
    CrossEnvironment,
    Languages,
    Toolchain,
    cross_environment,
    toolchain_for,
)
from crosswheel.uv import Uv
from crosswheel.wheels.dist import Dist
from crosswheel.wheels.proof import Proof, SandboxLevel

if TYPE_CHECKING:
    from crosswheel.job.proving import Candidate
    from crosswheel.job.record import WheelRecord
    from crosswheel.plan import Step

_Tool = TypeVar("_Tool")
# Planning asks the registry about every release; more requests at once would be impolite.
_QUESTIONS_AT_ONCE = 8

_WAITING_THREADS = 256


_NO_SANDBOX = (
    "builds and tests run without a sandbox: what they do, they do as you, and what one of them fetches is in no lock, "
    "and nobody verified it. Their proofs say so; `crosswheel doctor` tells which sandbox this machine allows"
)
_NO_KEY = (
    "the key of the cache cannot be kept in this user's home folder, so the next command makes all wheels anew; a "
    f"secret text in {VARIABLE} serves as the key"
)


@dataclass(frozen=True)
class Trees:
    """The folders of a run, as in the original tool: ``<root>/<name>/<version>/…``."""

    build: Path
    dist: Path
    index: Path


@dataclass(frozen=True)
class PackageLimits:
    """What the build of one package may use, and then its trial: seconds, and bytes of memory for each program."""

    seconds: int | None = None
    memory: int | None = None


class StepExecutor(Protocol):
    """Makes and proves wheels elsewhere than in this process, such as on the workers of a cluster."""

    @property
    def at_once(self) -> int:
        """How many steps it can work on at the same time, now."""

    @property
    def made(self) -> Callable[[Step, RequirementsStore, BuildContext], WheelRecord]:
        """Returns the audited wheel of a step, in this machine's cache."""

    @property
    def proven(self) -> Callable[[Candidate, BuildContext], Proof]:
        """Returns the proof of a wheel, tested with the wheels that it needs."""


@dataclass(frozen=True)
class BuildContext:
    """The tools and folders of a run for one target.

    ``prefer`` says what to do where a recipe does not; ``sdk`` is where an SDK to build with lies; ``projects`` are
    the user's own, which the registry of this context offers as well (:meth:`offering`); ``no_binary`` and
    ``only_binary`` name packages as pip's options of these names do; ``released`` are those of which alone wheels are
    kept, if only some are; ``shared_cache`` is what a team shares; ``machine`` is one of the target's kind, on which
    wheels are run as well; ``limits`` are those of each package, where its recipe has none, and ``allowance`` is what
    the package may use that is worked on (:meth:`limited`); ``executor`` makes and proves wheels, if that is not done
    in this process. What takes time to make (the emulator, the environments) is made once, by whichever worker needs
    it first.
    """

    target: Target
    recipes: Recipes
    settings: Settings
    trees: Trees
    registry: Registry
    display: Display
    cancellation: Cancellation
    prefer: Prefer = "native"
    sdk: Path | None = None
    projects: tuple[LocalRelease, ...] = ()
    no_binary: frozenset[str] = frozenset()
    only_binary: frozenset[str] = frozenset()
    released: frozenset[str] | None = None
    shared_cache: SharedCache | None = None
    machine: Machine | None = None
    limits: PackageLimits = field(default_factory=PackageLimits)
    allowance: Allowance = field(default_factory=Allowance)
    executor: StepExecutor | None = None
    _single_flights: SingleFlight = field(default_factory=SingleFlight)

    @property
    def at_once(self) -> int:
        """How many steps are worked on at the same time."""
        return self.executor.at_once if self.executor else os.cpu_count() or 1

    @property
    def most_threads(self) -> int:
        """How many threads work on a closure: those that wait for a cluster cost little, and workers may join it."""
        return _WAITING_THREADS if self.executor else self.at_once

    def offering(self, projects: Iterable[LocalRelease]) -> BuildContext:
        """Return a context that offers the user's own projects; no registry is asked for their names."""
        every = {release.name: release for release in (*self.projects, *projects)}
        files = {release.name: (release.version, release.file) for release in every.values()}
        return replace(self, projects=tuple(every.values()), registry=self.registry.offering(files))

    def asking(self, registry: str | None, extra: Iterable[str] = ()) -> BuildContext:
        """Return a context that asks another registry, if one is given, and extra ones before it.

        Their URLs may have a user name and a password.
        """
        every = tuple(dict.fromkeys([*self.settings.extra_registries, *extra]))
        settings = replace(self.settings, registry=registry or self.settings.registry, extra_registries=every)
        return replace(self, settings=settings, registry=Registry(settings)).offering(())

    def preference(self, name: str) -> Prefer:
        """Return the preference for a package whose recipe does not state one."""
        if self.no_binary & {name, ":all:"} and name not in self.only_binary:
            return "source"
        if self.takes_only(name):
            return "published"
        # What is only there to run what is released need not be fast.
        runs_only = self.released is not None and name not in self.released
        return "published" if runs_only and self.prefer == "native" else self.prefer

    def takes_only(self, name: str) -> bool:
        """Tell whether a package may only be taken, never built."""
        return bool(self.only_binary & {name, ":all:"}) and name not in self.no_binary

    def folder(self, name: str, version: str) -> Path:
        """Return a package's folder in the build tree."""
        return self.trees.build / name / version

    def dist_folder(self, name: str, version: str) -> Path:
        """Return the folder of ``dist/`` for a release's wheel: the one that its root's recipe was told."""
        root = self.recipes.root_of(name, version)
        named = (root.name, root.version or version) if root else (name, version)
        return Dist(self.trees.dist).folder(*named)

    def public(self, text: str) -> str:
        """Return a text fit to be published: without this machine's folders, and without credentials in URLs."""
        names = {
            self.trees.build: "build",
            self.trees.dist: "dist",
            self.recipes.folder: "packages",
            self.settings.cache: "cache",
            Path.cwd(): ".",
            Path.home(): "~",
        }
        for folder, name in sorted(names.items(), key=lambda item: len(str(item[0])), reverse=True):
            if folder.is_absolute() and folder != folder.parent:
                text = re.sub(rf"{re.escape(str(folder))}(?![\w.-])", name, text)
        return re.sub(r"(?<=://)[^/@\s]+@", "", text)

    def log(self, name: str, version: str) -> Path:
        """Return the path of a package's log."""
        return self.folder(name, version) / "build.log"

    def lock_for(self, name: str | Path) -> AbstractContextManager[object]:
        """Return a lock for a thing that must not be made twice at the same time."""
        return self._single_flights.lock_for(name)

    @contextmanager
    def own_folder(self, name: str, version: str) -> Iterator[Path]:
        """Yield a package's folder in the build tree, which no other command or closure works in meanwhile."""
        folder = self.folder(name, version)
        waiting = partial(self.display.step, name, "waiting for another command that builds it")
        # A file's lock is the whole process's, and closures of one batch may have the package in common.
        with self.lock_for(folder), explained_storage_errors(folder), exclusive(folder, waiting):
            yield folder

    def nested(self, name: str, version: str) -> BuildContext:
        """Return a context for building what a package's build requires, below its folder and without a display."""
        trees = replace(self.trees, build=self.folder(name, version) / "first")
        return replace(self, trees=trees, display=display(Console(quiet=True), verbose=False, live=False))

    def limited(self, recipe: Recipe | None) -> BuildContext:
        """Return a context for the build or the trial of a package, whose time begins now."""
        time_limit = (recipe and recipe.time_limit) or self.limits.seconds
        memory = (recipe and recipe.memory_limit) or self.limits.memory
        return replace(self, allowance=Allowance.beginning(time_limit, memory))

    def runner(self, name: str, version: str) -> Runner:
        """Return a runner that writes to a package's log and shows its lines; it keeps to the allowance."""
        echo = partial(self.display.line, name)
        return Runner(self.cancellation, self.log(name, version), echo, self.allowance)

    @contextmanager
    def workers(self, count: int) -> Iterator[Executor]:
        """Yield a pool of workers; Ctrl-C during the block also ends the programs that they run."""
        executor = ThreadPoolExecutor(count, thread_name_prefix="crosswheel")
        try:
            yield executor
        except BaseException as error:
            if not isinstance(error, CrosswheelError):  # a package that fails does not stop the others
                # Cancel before the pool waits for its threads, which would otherwise finish their builds first.
                self.cancellation.cancel()
            executor.shutdown(wait=True, cancel_futures=True)
            raise
        executor.shutdown()

    @property
    def registries(self) -> tuple[str, ...]:
        """Where releases come from, in words without passwords: what was resolved from others is resolved again."""
        settings = self.settings
        private = (f"{index.name}={index.url} {' '.join(index.packages)}" for index in settings.indexes)
        general = (*settings.extra_registries, settings.registry or "")
        return (*private, *map(without_password, general))

    def own_store(
        self, title: str, as_of: datetime.date | None, day: datetime.date | None = None
    ) -> RequirementsStore:
        """Return the store of build requirements for what no recipe names; see :func:`own_store`."""
        return own_store(self.trees.build, title, self.target, as_of, day, self.registries)

    def questions(self) -> AbstractContextManager[Executor]:
        """Return a pool of workers for questions to a registry about many releases; see :meth:`workers`."""
        return self.workers(_QUESTIONS_AT_ONCE)

    @property
    def sandbox(self) -> SandboxLevel:
        """The level of the sandbox in which builds and wheels run."""
        return self._single_flights.get("sandbox", lambda: find_sandbox(self.settings.sandbox).level)

    @property
    def seals(self) -> Seals:
        """What tells records that this user made from what others put into the cache."""
        return self._single_flights.get("seals", self._seals)

    def _seals(self) -> Seals:
        seals = Seals.of_user()
        if not seals.is_kept:
            self.display.warning(_NO_KEY)
        return seals

    def warn_of_sandbox(self) -> None:
        """Warn, once in a run, if there is no sandbox."""
        if self.sandbox == "none":
            self._single_flights.get("sandbox told", lambda: self.display.warning(_NO_SANDBOX))

    @property
    def general_runner(self) -> Runner:
        """The runner for programs that belong to no package."""
        return Runner(self.cancellation, self.trees.build / "toolchain.log")

    @property
    def uv(self) -> Uv:
        """uv, for work that belongs to no package."""
        return Uv(self.settings, self.general_runner)

    @property
    def toolchain(self) -> Toolchain:
        """The toolchain of the target."""
        return self._single_flights.get("toolchain", partial(_needed_by_all, self._toolchain))

    def _toolchain(self) -> Toolchain:
        if self.sdk is None:
            self._runtime()  # needs no Python
            return toolchain_for(
                self.target,
                self.settings,
                runner=self.general_runner,
                tell=self.display.message,
                shared=self.shared_cache,
            )
        sdk = open_sdk(self.sdk, self.target, self.settings, self.general_runner)
        warning = sdk.warning(self.target)
        if warning:
            self.display.warning(warning)
        return toolchain_for(
            self.target, self.settings, sdk=sdk, runner=self.general_runner, tell=self.display.message
        )

    def _runtime(self) -> Future[None]:
        """Begin to make what zig links with everything, while Pythons and the emulator are fetched."""

        def begin() -> Future[None]:
            compilers, cache = zig_compilers(self.target, self.settings.cache), self.settings.cache
            pool = ThreadPoolExecutor(1)
            begun = pool.submit(make_c_runtime, compilers, cache, self.general_runner)
            pool.shutdown(wait=False)
            return begun

        return self._single_flights.get("runtime", begin)

    @property
    def emulator(self) -> Emulator:
        """The emulated target."""
        return self._single_flights.get("emulator", partial(_needed_by_all, self._emulator))

    def _emulator(self) -> Emulator:
        assert self.toolchain  # its Pythons take minutes, where they are built
        emulator = emulator_for(self.target, self.settings, self.general_runner)
        for warning in emulator.warnings:
            self.display.warning(warning)
        return emulator

    @property
    def system(self) -> System:
        """The libraries and symbols that the target offers to a wheel."""
        return self._single_flights.get("system", partial(_needed_by_all, self._system))

    def _system(self) -> System:
        learned, toolchain = kept_userland(self.target, self.settings), self.toolchain
        if learned:
            sent = toolchain.python if self.target.python.provided else None
            return own_system(self.target, learned, sent)
        libraries = userland(self.target, self.settings, self.general_runner)
        return system_of(self.target, toolchain.python, libraries, toolchain.sysroot)

    @property
    def userland(self) -> str | None:
        """The digest of the target's userland, if it was learned: wheels are then audited against it and run in it."""
        learned = self._single_flights.get("userland", lambda: kept_userland(self.target, self.settings))
        return learned.digest if learned else None

    @property
    def has_runnable_python(self) -> bool:
        """Whether the emulator has a Python to run: the target's own, or another of its version."""
        return self.userland is not None or self.toolchain.python.runs

    @property
    def pythons(self) -> Iterator[Interpreter]:
        """The Pythons that can compile a wheel's modules."""
        return compiling_pythons(
            lambda: self.toolchain.host, lambda: self.emulator, self.general_runner, self.settings.cache
        )

    def environment(
        self, libraries: tuple[str, ...] = (), languages: Languages = C_ALONE
    ) -> CrossEnvironment:
        """Return a build's environment; verify the cross view before handing out the first one."""
        self._single_flights.get("verified", partial(_needed_by_all, self._verify))
        key = (libraries, languages)
        return self._single_flights.get(key, lambda: self._environment(libraries, languages))

    def _environment(
        self, libraries: tuple[str, ...] = (), languages: Languages = C_ALONE
    ) -> CrossEnvironment:
        if languages.cxx:
            make_cxx_library(self.toolchain.compilers, self.settings.cache, self.general_runner)
        return cross_environment(
            self.toolchain,
            self.emulator.prefix,
            self.general_runner,
            libraries=libraries,
            rust=self._rust if languages.rust else None,
            fortran=languages.fortran,
            cxx=languages.cxx,
            declared=self.recipes.libraries,
            shared=self.shared_cache,
        )

    @property
    def _rust(self) -> Rust:
        return self._single_flights.get(
            "rust", lambda: rust_for(self.target, self.settings, self.general_runner)
        )

    def _verify(self) -> bool:
        toolchain, emulator = self.toolchain, self.emulator
        if self.sdk is None:
            self._runtime().result()  # builds may read it, and keep none that they make themselves
        verify(toolchain, self._environment(), emulator, self.general_runner)
        return True

    @property
    def code_digest(self) -> str:
        """A name for our own code: what it makes is made anew when it changes."""
        return self._single_flights.get("code", code_digest)


def _needed_by_all(make: Callable[[], _Tool]) -> _Tool:
    """Make what every build needs; raise :class:`HostError` if that fails, as every other build would fail too."""
    try:
        return make()
    except (Interrupted, HostError):
        raise
    except CrosswheelError as error:
        raise HostError(error.message, hint=error.hint) from error
