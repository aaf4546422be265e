"""Turns a request, or a root and its lock, into the steps of its closure: resolves or reads the lock, and plans."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.utils import canonicalize_name

from crosswheel import lock as locks
from crosswheel import plan
from crosswheel.build.requirements import RequirementsStore
from crosswheel.errors import BuildFailed, LockError, PlanError, RecipeError
from crosswheel.job.context import BuildContext
from crosswheel.job.describing import describe
from crosswheel.lock import Lock, Pin
from crosswheel.recipes.loader import Recipes
from crosswheel.recipes.model import Recipe
from crosswheel.registry import Registry, ReleaseFile
from crosswheel.resolver import Request, Resolution, Resolver
from crosswheel.targets import Target
from crosswheel.uv import ReleaseMetadata, Renewal


@dataclass(frozen=True)
class Closure:
    """The steps for a root, or for the requirements of a command line, with all that they need.

    Attributes:
        roots: the requirements that were asked for.
        steps: by name, what to do for each release.
        requirements: the locked requirements of the builds.
        is_complete: whether it must hold all that its wheels require.
        kept: the packages whose wheels are proven and kept, while the others are made only to run them; all, if
            ``None``.
    """

    roots: tuple[str, ...]
    steps: Mapping[str, plan.Step]
    requirements: RequirementsStore
    is_complete: bool = True
    kept: frozenset[str] | None = None

    @property
    def title(self) -> str:
        """The requested requirements, for messages."""
        return ", ".join(self.roots)

    @property
    def versions(self) -> Mapping[str, str]:
        """The versions of all releases, by name."""
        return {name: step.pin.version for name, step in self.steps.items()}


def closure_for(request: Request, as_of: datetime.date | None, context: BuildContext) -> Closure:
    """Return the steps for requirements that no recipe names.

    Args:
        as_of: ignore what was published after this day. Without one, a resolution is reused for the rest of its day.

    Raises:
        UsageError: one of them is not a requirement, or a file cannot be read.
        LockError: no set of releases satisfies them.
        PlanError: a release can be neither taken nor built.
    """
    if request.files:
        return _closure_of_files(request, as_of, context)
    requirements = with_tests(request.requirements, context.recipes)
    store = context.own_store(", ".join(requirements), as_of, datetime.date.today())
    path = store.folder.parent / "lock.txt"
    if path.is_file():
        lock = locks.read(path)
    else:
        resolution = resolve(Request(requirements), as_of, context)
        lock = locks.write(path, resolution.made_for, resolution.text)
    return closure_of_pins(requirements, lock.pins.values(), store, context)


def _closure_of_files(request: Request, as_of: datetime.date | None, context: BuildContext) -> Closure:
    """Return the steps for requirements files; as these may include others, their roots are known once resolved."""
    resolution = resolve(request, as_of, context)
    test_requirements = with_tests(resolution.roots, context.recipes)[len(resolution.roots) :]
    if set(test_requirements) - {pin.name for pin in resolution.pins}:
        resolution = resolve(
            Request((*request.requirements, *test_requirements), request.files), as_of, context
        )
    store = context.own_store(resolution.text, as_of, datetime.date.today())
    lock = locks.write(store.folder.parent / "lock.txt", resolution.made_for, resolution.text)
    return closure_of_pins((*resolution.roots, *test_requirements), lock.pins.values(), store, context)


def with_tests(requirements: Iterable[str], recipes: Recipes) -> tuple[str, ...]:
    """Return requirements with those of their recipes' tests, which must be in the same lock."""
    roots = list(requirements)
    names = [canonicalize_name(locks.parsed(text).name) for text in roots]
    helpers = (recipes.helpers.get(name) for name in names)
    return (*roots, *(name for helper in helpers if helper for name in helper.test_requires))


def resolve(
    request: Request, as_of: datetime.date | None, context: BuildContext, *, renewal: Renewal | None = None
) -> Resolution:
    """Resolve a request as of a day, and show the resolver's warnings.

    The resolver assumes that all wheels of a release have the metadata of any one. A wheel that is built, perhaps from
    patched source, may have other metadata; these decide.

    Args:
        renewal: which pins of an earlier resolution stay; by default every release is the newest.

    Raises:
        UsageError: a file cannot be read, or has an option that cannot be honoured.
        LockError: no set of releases satisfies it.
        NetworkError: the registry or a source cannot be reached.
    """
    resolver = resolver_as_of(as_of, context)
    metadata: dict[str, ReleaseMetadata | None] = {}
    while True:
        resolution = resolver.resolve(request, as_of, filter(None, metadata.values()), renewal=renewal)
        new = [pin for pin in _doubtful(resolution.pins, context) if str(pin) not in metadata]
        if not new:
            break
        with context.workers(2) as pool:
            described = pool.map(lambda pin: _described(pin, as_of, context), new)
            metadata.update(zip(map(str, new), described, strict=True))
    for warning in resolution.warnings:
        context.display.warning(warning)
    return resolution


def resolver_as_of(as_of: datetime.date | None, context: BuildContext) -> Resolver:
    """Return the resolver for a context's target, which asks build backends as of a day for what no file states."""
    return Resolver(
        context.target,
        context.toolchain.interpreter,
        context.uv,
        lambda name, version: describe(name, version, as_of, context),
        context.projects,
    )


def _doubtful(pins: Iterable[Pin], context: BuildContext) -> list[Pin]:
    """Return the pins whose built wheel may have other metadata than those that the resolver read."""
    doubtful = []
    projects = {release.name for release in context.projects}  # their metadata are known
    for step, files in planned([pin for pin in pins if pin.name not in projects], context):
        changed = step.recipe is not None and bool(step.recipe.patches or step.recipe.source)
        if step.action == "build" and (changed or any(file.kind == "wheel" for file in files)):
            doubtful.append(step.pin)
    return doubtful


def _described(pin: Pin, as_of: datetime.date | None, context: BuildContext) -> ReleaseMetadata | None:
    try:
        return describe(pin.name, pin.version, as_of, context)
    except (BuildFailed, LockError):  # its build will fail, too, and tell why
        return None


def roots_of(recipes: Recipes, target: Target) -> list[Recipe]:
    """Return the roots of a folder of recipes: those with a ``build.py``, and those with a lock alone.

    A folder ``<name>/<version>`` with a lock for the target needs no recipe: the lock names its requirements.
    """
    roots = list(recipes.roots)
    known = {root.folder for root in roots}
    for path in sorted(recipes.folder.glob(f"*/*/{target.name}.lock")):
        if path.parent not in known:
            roots.append(root_of_lock(path))
    return roots


def root_of_lock(path: Path) -> Recipe:
    """Return the root of a lock that has no ``build.py`` beside it."""
    purpose = locks.read(path).made_for
    try:
        return Recipe(
            name=path.parent.parent.name,
            version=path.parent.name,
            file=path.parent / "build.py",
            as_of=locks.day_of(purpose),
            requirements=tuple(purpose["requirements"].split(", ")),
        )
    except (KeyError, ValueError) as error:
        raise LockError(
            f"{path} does not say what it is for ({error}), and no build.py lies beside it",
            hint="make it anew with `crosswheel add`, or remove it.",
        ) from error


def closure_of(root: Recipe, context: BuildContext) -> Closure:
    """Return the steps for a root.

    A recipe as the original tool has them (no day, no requirements) gives a closure of its package alone.

    Raises:
        LockError: the lock is missing or does not fit.
        RecipeError: the root is for a release that is not in its closure.
        PlanError: a release can be neither taken nor built.
    """
    if root.is_alone:
        pin = Pin(root.canonical_name, root.version or "", frozenset())
        step = plan.choose(pin, [], root, context.target, prefer=context.prefer)
        store = context.own_store(", ".join(root.roots), None)
        return Closure(root.roots, {pin.name: step}, store, is_complete=False)
    path = locks.path_of(root, context.target)
    lock = locks.read(path)
    locks.require_fit(lock, path, locks.purpose(root.roots, context.target, root.as_of))
    store = RequirementsStore(committed_folder(root, context.target), root.as_of, frozen=True)
    return closure_of_lock(root, lock, store, context)


def closure_of_pins(
    roots: Sequence[str], pins: Iterable[Pin], store: RequirementsStore, context: BuildContext
) -> Closure:
    """Return the steps for the resolved pins of requirements that no recipe names.

    Raises:
        PlanError: a release can be neither taken nor built.
    """
    return Closure(tuple(roots), _steps(pins, context), store)


def closure_of_lock(root: Recipe, lock: Lock, store: RequirementsStore, context: BuildContext) -> Closure:
    """Return the steps for a root's lock.

    Raises:
        RecipeError: the root is for a release that is not in the lock.
        PlanError: a release can be neither taken nor built.
    """
    _require_release(root, lock)
    return closure_of_pins(root.roots, lock.pins.values(), store, context)


def _require_release(root: Recipe, lock: Lock) -> None:
    """Raise :class:`RecipeError` if a root's folder names no release of its closure: its recipe would be ignored.

    Where the closure does not have the package at all, and the recipe does not say how to build one, the folder's name
    is only a title.
    """
    pin = lock.pins.get(root.canonical_name)
    is_title = not root.says_how and root.build_number is None
    if root.is_of(pin.name, pin.version) if pin else is_title:
        return
    has = f"which has {pin}" if pin else f"which has no {root.canonical_name} at all"
    better = f"{root.folder.parent / pin.version}" if pin else "the release that it is for"
    raise RecipeError(
        f"{root.file} is for {root.name} {root.version}, which is no release of its closure, {has}: "
        "it would not be used",
        hint=f"name its folder after {better}, or change its requirements; what it says of every version belongs into "
        f"{root.folder.parent / 'build.py'}.",
    )


def committed_folder(root: Recipe, target: Target) -> Path:
    """Return the folder of the locked build requirements of a root's closure."""
    return root.folder / f"{target.name}.build"


def planned(pins: Iterable[Pin], context: BuildContext) -> Sequence[tuple[plan.Step, Sequence[ReleaseFile]]]:
    """Return the step for each release, planned from the files that the registry has of it.

    Raises:
        PlanError: a release can be neither taken nor built.
    """

    def chosen(pin: Pin) -> tuple[plan.Step, Sequence[ReleaseFile]]:
        recipe, files = context.recipes.for_package(pin.name, pin.version), _files(pin, context.registry)
        step = plan.choose(pin, files, recipe, context.target, prefer=context.preference(pin.name))
        return _as_allowed(step, context), files

    pins = list(pins)
    registry = context.registry
    unknown = [pin for pin in pins if not registry.has_answer(pin.name, pin.version)]
    # Closures of a batch have most releases in common, and threads cost more than reading an answer.
    if unknown:
        with context.questions() as pool:
            list(pool.map(lambda pin: registry.release_files(pin.name, pin.version), unknown))
    return [chosen(pin) for pin in pins]


def _as_allowed(step: plan.Step, context: BuildContext) -> plan.Step:
    """Refuse to build a package that ``--only-binary`` names; the user's own projects are always built."""
    if not context.takes_only(step.pin.name) or (step.file and step.file.origin):
        return step
    if step.action == "build":
        raise PlanError(
            f"{step.pin} would be built ({step.reason}), and --only-binary says that it must not",
            hint=f"leave {step.pin.name} out of --only-binary, or ask for another version of it.",
        )
    return replace(step, fallback=None)


def _steps(pins: Iterable[Pin], context: BuildContext) -> Mapping[str, plan.Step]:
    steps = {step.pin.name: step for step, _ in planned(pins, context)}
    for step in steps.values():
        if step.file and step.file.yanked:
            yank_reason = (
                f": {step.file.yanked_reason}" if step.file.yanked_reason else ", and does not say why"
            )
            context.display.warning(f"{step.pin} was yanked: its publisher withdrew it{yank_reason}")
    return steps


def _files(pin: Pin, registry: Registry) -> list[ReleaseFile]:
    files = registry.release_files(pin.name, pin.version)
    if not any(file.sha256 in pin.sha256 for file in files):
        # The cached answer may be older than the lock: ask the registry again.
        return registry.release_files(pin.name, pin.version, refresh=True)
    return files
