"""Adds a package without writing a recipe: a lock alone makes it a root."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from packaging.utils import canonicalize_name

from crosswheel import lock as locks
from crosswheel.errors import LockError, UsageError
from crosswheel.files import write_text
from crosswheel.job.closures import resolve, root_of_lock
from crosswheel.job.context import BuildContext
from crosswheel.job.gathering import gather
from crosswheel.job.locking import renew
from crosswheel.job.recipe_projects import write_recipes
from crosswheel.lock import Pin
from crosswheel.projects.addresses import project_request
from crosswheel.recipes.editing import change_build_number, change_day
from crosswheel.recipes.loader import Recipes, load_folder
from crosswheel.recipes.model import Recipe
from crosswheel.resolver import Request
from crosswheel.targets import Target
from crosswheel.versions import same_version


def add_root(
    request: str,
    as_of: datetime.date | None,
    context: BuildContext,
    groups: Sequence[str] = (),
    *,
    moves_day: bool = False,
) -> tuple[Recipe, BuildContext]:
    """Lock a package's closure in the folder of recipes; return its root, and a context that offers the projects in it.

    Args:
        request: a requirement of one package, whose version the resolver chooses, or a project.
        as_of: the day to resolve as of; today by default, or none where the registry does not date its files.
        groups: dependency groups of the project.
        moves_day: the day is written into the release's recipe, if that states another one or none.

    Raises:
        UsageError: ``request`` is not a requirement, or contradicts the release's recipe.
        RecipeError: the day cannot be written into the recipe.
        LockError: no set of releases satisfies it.
    """
    if project_request(request, Path.cwd()) is not None:
        return _add_project(request, as_of, context, groups)
    requirement = locks.parsed(request)
    pins = {pin.name: pin for pin in resolve(Request((request,)), as_of, context).pins}
    name = canonicalize_name(requirement.name)
    if name not in pins:
        raise LockError(f"{request} does not apply to {context.target.name}", hint="look at its marker.")
    version = pins[name].version
    known = context.recipes.root_of(name, version)
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    root = Recipe(
        name=name,
        version=version,
        file=known.file if known else context.recipes.folder / name / version / "build.py",
        as_of=as_of or _today(pins.values(), context),
        requirements=(f"{name}{extras}=={version}",),
    )
    if known and as_of and moves_day:
        change_day(known.file, as_of)
        root = known.model_copy(update={"as_of": as_of})
    elif known and known.as_of:
        root = _agreed(known, as_of)
    renew(root, context)
    return root, context


def _add_project(
    request: str, as_of: datetime.date | None, context: BuildContext, groups: Sequence[str]
) -> tuple[Recipe, BuildContext]:
    """Write recipes for a project and the projects that it needs, lock them, and return the project as a root."""
    gathered = gather([request], context, groups)
    offering = context.offering(gathered.releases.values())
    day = as_of or _today(resolve(Request(tuple(gathered.requirements)), None, offering).pins, offering)
    file = write_recipes(gathered.requirements, gathered, day.isoformat() if day else None, offering.recipes)
    recipes = load_folder(context.recipes.folder, context.trees.dist)
    root = next(recipe for recipe in recipes.roots if recipe.file == file)
    offering = replace(offering, recipes=recipes)
    renew(root, offering)
    return root, offering


def _today(pins: Iterable[Pin], context: BuildContext) -> datetime.date | None:
    projects = {release.name for release in context.projects}
    files = (
        context.registry.release_files(pin.name, pin.version) for pin in pins if pin.name not in projects
    )
    if all(any(file.upload_time for file in release_files) for release_files in files):
        return datetime.datetime.now(datetime.timezone.utc).date()
    context.display.warning(
        "the registry does not tell when files came to it, so the lock is as of no day: `crosswheel lock` takes what "
        "there is by then"
    )
    return None


def _agreed(known: Recipe, as_of: datetime.date | None) -> Recipe:
    """Return a root that already has a recipe, whose day must be the one that was asked for."""
    if as_of not in (None, known.as_of):
        raise UsageError(
            f"{known.file} says as_of {known.as_of}, and {as_of} was asked for",
            hint="change the day there, then run `crosswheel lock`; or leave --as-of out.",
        )
    return known


def number_build(release: str, as_of: datetime.date | None, recipes: Recipes, target: Target) -> int:
    """Give a release's recipe the next build number (PEP 427); write one where there is none.

    Args:
        release: the release, as ``NAME==VERSION``.
        as_of: the day for a new recipe; by default the day of the release's lock, or today.

    Returns:
        The number.

    Raises:
        UsageError: ``release`` is no exact release.
        RecipeError: the recipe cannot be changed.
    """
    requirement = locks.parsed(release)
    exact = [specifier.version for specifier in requirement.specifier if specifier.operator == "=="]
    if len(exact) != 1 or exact[0].endswith(".*"):
        raise UsageError(f"{release} is not a release", hint="write NAME==VERSION: it is built once more.")
    name, version = canonicalize_name(requirement.name), exact[0]
    recipe = recipes.for_package(name, version)
    number = 1 if recipe is None or recipe.build_number is None else recipe.build_number + 1
    root = recipes.root_of(name, version)
    if root is not None:
        change_build_number(root.file, number)
        return number
    locked = recipes.folder.glob(f"{name}/*/{target.name}.lock")
    lock_root = next((root_of_lock(path) for path in locked if same_version(path.parent.name, version)), None)
    day = (
        as_of
        or (lock_root.as_of if lock_root else None)
        or datetime.datetime.now(datetime.timezone.utc).date()
    )
    requirements = lock_root.requirements if lock_root else (str(requirement),)
    folder = lock_root.folder if lock_root else recipes.folder / name / version
    arguments = f'as_of="{day}", requirements={json.dumps(list(requirements))}, build_number={number}'
    write_text(
        folder / "build.py",
        f"from builder import package_build\n\npackage_build.build_package({arguments})\n",
    )
    return number
