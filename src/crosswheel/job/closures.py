"""From a root to the steps of its closure: its lock, read and fitting, and the plan made of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Optional

from crosswheel import lock as locks
from crosswheel import plan
from crosswheel.job.workplace import Workplace
from crosswheel.lock import Lock, Pin
from crosswheel.recipes.model import Recipe
from crosswheel.registry import ReleaseFile

# The registry answers many small questions; more at once would be impolite.
_QUESTIONS_AT_ONCE = 8


@dataclass(frozen=True)
class Closure:
    """What is to be made for one root.

    Attributes:
        root: its recipe.
        steps: by name, what to do for each release.
    """

    root: Recipe
    steps: Mapping[str, plan.Step]

    @property
    def names(self) -> frozenset[str]:
        """The names of all releases."""
        return frozenset(self.steps)


def closure_of(root: Recipe, place: Workplace) -> Closure:
    """Return the steps for a root.

    A root without ``as_of`` is one of the original tool's: the package alone is built, with no dependency.

    Raises:
        LockError: the lock is missing or does not fit.
        PlanError: a release can be neither taken nor built.
    """
    if root.as_of is None:
        alone = Pin(root.canonical_name, root.version or "", frozenset())
        return Closure(root, {alone.name: plan.choose(alone, [], root, place.target)})
    path = locks.path_of(root, place.target)
    lock = locks.read(path)
    locks.require_fit(lock, path, locks.purpose(root.roots, place.target, root.as_of))
    return Closure(root, _steps(lock.pins.values(), place))


def closure_of_lock(root: Recipe, lock: Lock, place: Workplace) -> Closure:
    """Return the steps for a lock that was just made."""
    return Closure(root, _steps(lock.pins.values(), place))


def _steps(pins: Iterable[Pin], place: Workplace) -> Mapping[str, plan.Step]:
    def chosen(pin: Pin) -> plan.Step:
        recipe = place.recipes.for_package(pin.name, pin.version)
        return plan.choose(pin, _files(pin, recipe, place), recipe, place.target)

    with ThreadPoolExecutor(_QUESTIONS_AT_ONCE) as pool:
        return {step.pin.name: step for step in pool.map(chosen, pins)}


def _files(pin: Pin, recipe: Optional[Recipe], place: Workplace) -> list[ReleaseFile]:
    files = place.registry.release_files(pin.name, pin.version)
    if not any(file.sha256 in pin.sha256 for file in files):
        # A cached answer may be older than the lock.
        return place.registry.release_files(pin.name, pin.version, refresh=True)
    return files
