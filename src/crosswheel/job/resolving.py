"""Resolves requirements with the metadata of the wheels that will be built, where the registry's differ."""

from __future__ import annotations

import datetime
from collections.abc import Iterable

from packaging.utils import canonicalize_name

from crosswheel import lock as locks
from crosswheel.errors import BuildFailed, LockError
from crosswheel.job.closures import Closure, closure_of_pins, own_store, planned
from crosswheel.job.context import BuildContext
from crosswheel.job.describing import describe
from crosswheel.lock import Pin
from crosswheel.resolver import Request, Resolution, Resolver
from crosswheel.uv import ReleaseMetadata, Renewal


def resolve(
    request: Request,
    as_of: datetime.date | None,
    context: BuildContext,
    *,
    renewal: Renewal | None = None,
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
    resolver = Resolver(
        context.target,
        context.toolchain.interpreter,
        context.uv,
        lambda name, version: describe(name, version, as_of, context),
        context.projects,
    )
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
    requirements = with_tests(request.requirements, context)
    store = own_store(context, ", ".join(requirements), as_of, datetime.date.today())
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
    test_requirements = with_tests(resolution.roots, context)[len(resolution.roots) :]
    if set(test_requirements) - {pin.name for pin in resolution.pins}:
        resolution = resolve(
            Request((*request.requirements, *test_requirements), request.files), as_of, context
        )
    store = own_store(context, resolution.text, as_of, datetime.date.today())
    lock = locks.write(store.folder.parent / "lock.txt", resolution.made_for, resolution.text)
    return closure_of_pins((*resolution.roots, *test_requirements), lock.pins.values(), store, context)


def with_tests(requirements: Iterable[str], context: BuildContext) -> tuple[str, ...]:
    """Return requirements with those of their recipes' tests, which must be in the same lock."""
    roots = list(requirements)
    names = [canonicalize_name(locks.parsed(text).name) for text in roots]
    helpers = (context.recipes.helpers.get(name) for name in names)
    return (*roots, *(name for helper in helpers if helper for name in helper.test_requires))
