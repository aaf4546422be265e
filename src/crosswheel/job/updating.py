"""Keeps locks current: finds newer and withdrawn releases, and renews locks as far as the user asks."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.metadata import parse_email
from packaging.utils import canonicalize_name
from packaging.version import Version

from crosswheel import lock as locks
from crosswheel.errors import (
    BuildFailed,
    CrosswheelError,
    MissingToolError,
    NetworkError,
    PlanError,
    UsageError,
)
from crosswheel.files import write_bytes
from crosswheel.job.closures import closure_of, committed_folder, roots_of
from crosswheel.job.context import BuildContext, Trees
from crosswheel.job.locking import renew
from crosswheel.job.misfits import for_another_python, newest_fitting
from crosswheel.job.running import run_closure
from crosswheel.lock import Lock, Pin
from crosswheel.progress.wording import plural
from crosswheel.recipes.editing import change_day
from crosswheel.recipes.loader import Recipes
from crosswheel.recipes.model import Recipe
from crosswheel.registry import Registry
from crosswheel.targets import Target
from crosswheel.toolchain.python.built import source_of
from crosswheel.toolchain.python.cpython_source import newest_release
from crosswheel.uv import Renewal
from crosswheel.wheels.dist import Dist
from crosswheel.wheels.reading import read_metadata

_CHANGELOGS = ("changelog", "changes", "release notes", "releasenotes", "history", "whatsnew", "what's new")
_PAGES = ("homepage", "home", "repository", "source", "source code", "github")


@dataclass(frozen=True)
class Standing:
    """A locked release, compared with what its registry has today.

    Attributes:
        newest: the newest release for the target's Python; ``None`` if that is the locked one.
        fault: what has happened to the locked release, such as being yanked; ``None`` if nothing has.
    """

    root: str
    pin: Pin
    newest: Version | None = None
    fault: str | None = None


@dataclass(frozen=True)
class Change:
    """An update's change of one package; sizes are in bytes, or ``None`` if they are not known."""

    name: str
    old: str | None
    new: str | None
    old_size: int | None = None
    new_size: int | None = None
    changelog: str | None = None


def locked_roots(recipes: Recipes, target: Target, names: Collection[str] = ()) -> list[tuple[Recipe, Lock]]:
    """Return the roots that have a lock, each with its lock; if names are given, only those that lock one of them.

    Raises:
        UsageError: no root has a lock, or a name is in none.
    """
    roots = [
        root
        for root in roots_of(recipes, target)
        if not root.is_alone and locks.path_of(root, target).is_file()
    ]
    locked = [(root, locks.read(locks.path_of(root, target))) for root in roots]
    wanted = {canonicalize_name(name) for name in names}
    missing = wanted - {name for _, lock in locked for name in lock.pins}
    if missing or not locked:
        raise UsageError(
            f"no lock for {target.name} has {', '.join(sorted(missing)) or 'anything'}",
            hint="check the name; `crosswheel add` locks a package.",
        )
    return [(root, lock) for root, lock in locked if not wanted or wanted & lock.pins.keys()]


def standings(context: BuildContext, names: Collection[str] = ()) -> list[Standing]:
    """Return each locked release that has a newer one, or is no longer as it was locked.

    Raises: as :func:`locked_roots`, and
        NetworkError: the registry cannot be reached.
    """
    wanted = {canonicalize_name(name) for name in names}
    projects = {release.name for release in context.projects}
    pins = [
        (f"{root.name} {root.version}", pin)
        for root, lock in locked_roots(context.recipes, context.target, names)
        for pin in lock.pins.values()
        if pin.name not in projects and (not wanted or pin.name in wanted)
    ]
    with context.questions() as pool:
        every = list(
            pool.map(lambda item: _standing(item[0], item[1], context.target, context.registry), pins)
        )
    return [standing for standing in every if standing.newest or standing.fault]


def python_standing(context: BuildContext) -> Standing | None:
    """Return how the Python that the target is sent stands, if there is a newer release of its minor version.

    Where that cannot be known, a warning is shown.
    """
    if not context.target.python.provided:
        return None
    source = source_of(context.target)
    try:
        newest = newest_release(source, context.settings, context.general_runner)
    except (MissingToolError, NetworkError) as error:
        context.display.warning(f"whether Python {source.version} is the newest is not known: {error}")
        return None
    pin = Pin("cpython", source.version, frozenset([source.sha256]))
    return Standing(context.target.name, pin, newest) if newest > Version(source.version) else None


def _standing(root: str, pin: Pin, target: Target, registry: Registry) -> Standing:
    try:
        newest = newest_fitting(pin.name, target, registry)
        files = registry.release_files(pin.name, pin.version, refresh=True)
    except PlanError as error:
        return Standing(root, pin, None, str(error))
    known = [file for file in files if file.sha256 in pin.sha256]
    fault = None
    if not known:
        fault = "the registry has other files of it than were locked"
    elif missing := pin.sha256 - {file.sha256 for file in files}:
        fault = f"the registry no longer has {plural(len(missing), 'file')} of it that it had when locked"
    elif all(file.yanked for file in known):
        reason = next((file.yanked_reason for file in known if file.yanked_reason), None)
        fault = f"withdrawn by its publisher{f': {reason}' if reason else ''}"
    is_newer = newest is not None and newest > Version(pin.version)
    return Standing(root, pin, newest if is_newer else None, fault)


def update_root(
    root: Recipe, lock: Lock, names: Collection[str], day: datetime.date, context: BuildContext
) -> list[Change]:
    """Renew a root's lock, then build and prove its closure; return what changed.

    Args:
        names: packages that may be as new as ``day``, while all others stay as they are; all packages by default.

    Raises:
        BuildFailed: a package failed, which the message names; the lock is unchanged.
        CrosswheelError: another step failed; the lock is unchanged.
    """
    wanted = sorted({canonicalize_name(name) for name in names} & lock.pins.keys())
    exceptions: dict[str, datetime.date] = {}
    if names and root.as_of:
        exceptions = {**locks.exceptions_of(lock.made_for), **dict.fromkeys(wanted, day)}
    renewed = root if names or root.as_of is None else root.model_copy(update={"as_of": day})
    preferred = locks.path_of(root, context.target).read_text() if names and root.as_of is None else None
    return renew_and_prove(renewed, root, lock, Renewal(preferred, tuple(wanted), exceptions), context)


def out_of_reach(
    root: Recipe, names: Collection[str], day: datetime.date, context: BuildContext
) -> list[str]:
    """Return which named packages have a newer release by a day for another Python than the target's, and what helps.

    Raises:
        NetworkError: the registry cannot be reached.
    """
    pins = locks.read(locks.path_of(root, context.target)).pins
    projects = {release.name for release in context.projects}
    named = sorted({canonicalize_name(name) for name in names} & (pins.keys() - projects))
    told = (for_another_python(pins[name], day, context.target, context.registry) for name in named)
    return [text for text in told if text]


def renew_and_prove(
    renewed: Recipe, root: Recipe, lock: Lock, renewal: Renewal, context: BuildContext
) -> list[Change]:
    """Renew a root's lock as a renewal says, then build and prove its closure; return what changed.

    Args:
        renewed: the root with its new day, which is written into the recipe if it differs.

    Raises: as :func:`update_root`.
    """
    sizes = {pin.name: _size(pin, context.target, context.trees) for pin in lock.pins.values()}
    with restored_on_failure([root], context.target):
        renew(renewed, context, renewal)
        rows = run_closure(closure_of(renewed, context), context)
        failed = [row for row in rows if row.error]
        if failed:
            context.display.summary(rows)
            raise BuildFailed(
                f"the update of {root.name} {root.version} stopped at {', '.join(row.package for row in failed)}; its "
                "lock is as it was",
                hint="update others by name, or mend that one; its reason is above.",
            )
        if renewed.as_of and renewed.as_of != root.as_of and root.file.is_file():
            change_day(root.file, renewed.as_of)
    after = locks.read(locks.path_of(root, context.target))
    return list(_changes(lock, after, sizes, context.target, context.trees))


@contextlib.contextmanager
def restored_on_failure(roots: Iterable[Recipe], target: Target) -> Iterator[None]:
    """Put the locks, the locked build requirements and the recipes of roots back, should the block fail."""
    before: dict[Path, bytes] = {}
    folders = []
    for root in roots:
        folder = committed_folder(root, target)
        folders.append(folder)
        paths = [locks.path_of(root, target), root.file, *folder.glob("*.txt")]
        before.update({path: path.read_bytes() for path in paths if path.is_file()})
    try:
        yield
    except BaseException:
        for path in [path for folder in folders for path in folder.glob("*.txt")]:
            if path not in before:
                path.unlink()
        for path, data in before.items():
            write_bytes(path, data)
        raise


def _changes(
    old: Lock, new: Lock, sizes: Mapping[str, int | None], target: Target, trees: Trees
) -> Iterator[Change]:
    for name in sorted(old.pins.keys() | new.pins.keys()):
        before, after = old.pins.get(name), new.pins.get(name)
        if before and after and before.version == after.version:
            continue
        yield Change(
            name,
            before.version if before else None,
            after.version if after else None,
            sizes.get(name),
            _size(after, target, trees) if after else None,
            _changelog(after, target, trees) if after else None,
        )


def _wheel(pin: Pin, target: Target, trees: Trees) -> Path | None:
    proven = Dist(trees.dist).proven(pin.name, pin.version, target.name)
    return proven[0][0] if proven else None


def _size(pin: Pin, target: Target, trees: Trees) -> int | None:
    wheel = _wheel(pin, target, trees)
    return wheel.stat().st_size if wheel else None


def _changelog(pin: Pin, target: Target, trees: Trees) -> str | None:
    """Return the URL of a release's changelog, or else of its project."""
    wheel = _wheel(pin, target, trees)
    if wheel is None:
        return None
    with contextlib.suppress(CrosswheelError, ValueError):
        raw, _ = parse_email(read_metadata(wheel))
        urls = {label.strip().lower(): url for label, url in raw.get("project_urls", {}).items()}
        return next((urls[label] for label in (*_CHANGELOGS, *_PAGES) if label in urls), raw.get("home_page"))
    return None


def as_markdown(title: str, changes: Sequence[Change]) -> str:
    """Return a table of changes, for a commit or a pull request."""
    lines = [title, "", "| package | from | to | size | changes |", "| --- | --- | --- | --- | --- |"]
    for change in changes:
        cells = (
            change.name,
            change.old or "new",
            change.new or "gone",
            _grown(change),
            change.changelog or "",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _grown(change: Change) -> str:
    known = [f"{size / 1000:.0f} kB" for size in (change.old_size, change.new_size) if size is not None]
    return " → ".join(known)
