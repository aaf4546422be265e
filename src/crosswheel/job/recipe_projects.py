"""Offers projects that no registry has from the folder or repository in their recipe, and writes such recipes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from crosswheel.errors import PlanError, RecipeError, UsageError
from crosswheel.files import write_text
from crosswheel.job.context import BuildContext
from crosswheel.job.gathering import Gathered
from crosswheel.progress import Display
from crosswheel.projects.addresses import Archive, Location
from crosswheel.projects.local_release import LocalRelease
from crosswheel.recipes.loader import Recipes
from crosswheel.recipes.model import FolderSource, GitSource, Recipe, Source, UrlSource
from crosswheel.registry import Registry

_WRITTEN = "# Written by `crosswheel add`, and by the same command again.\n"


def offering_recipes(context: BuildContext) -> BuildContext:
    """Return a context that offers the projects whose recipe names their folder or repository and that no registry has.

    Raises:
        RecipeError: the folder or repository has another project or version than its recipe.
        CrosswheelError: the project cannot be read.
    """
    gathered = Gathered(context, context.recipes.folder)
    every = (*context.recipes.roots, *context.recipes.helpers.values())
    for recipe in every:
        location = _location(recipe, context.display, context.registry)
        if location is not None:
            _require_own(recipe, gathered.found(location), location)
    return context.offering(gathered.releases.values()) if gathered.releases else context


def _location(recipe: Recipe, display: Display, registry: Registry) -> Location | None:
    source = recipe.source
    if isinstance(source, FolderSource):
        folder = (recipe.folder / source.path).resolve()
        if folder.is_dir():
            return folder
        display.warning(f"{recipe.label or recipe.file} names the folder {source.path}, which is not there")
        return None
    if not isinstance(source, GitSource | UrlSource) or not _is_of_project(recipe, registry):
        return None
    return source if isinstance(source, GitSource) else Archive(source.url, source.sha256)


def _is_of_project(recipe: Recipe, registry: Registry) -> bool:
    """Tell whether no registry has a recipe's project; for recipes that ``add`` wrote, without asking one."""
    if recipe.file.read_text().startswith(_WRITTEN):
        return True
    if recipe.version is None or recipe.is_alone:
        return False
    try:
        registry.release_files(recipe.name, recipe.version)
    except PlanError:
        return True
    return False


def _require_own(recipe: Recipe, found: Iterable[LocalRelease], location: Location) -> None:
    """Raise :class:`RecipeError` if a recipe's source has another release than the recipe."""
    for release in found:
        if release.name == recipe.canonical_name and (
            recipe.version is None or recipe.is_of(release.name, release.version)
        ):
            return
        stated = f"{recipe.name} {recipe.version or ''}".strip()
        raise RecipeError(
            f"{recipe.file} is for {stated}, and its source has {release.name} {release.version}",
            hint=f"offer that version with `crosswheel add {_shown(location)}`, or correct the recipe.",
        )


def _shown(location: Location) -> str:
    if isinstance(location, Path):
        return os.path.relpath(location)
    return location.url if isinstance(location, Archive) else f"'git+{location.url}@{location.ref}'"


def write_recipes(
    requirements: Iterable[str], gathered: Gathered, as_of: str | None, recipes: Recipes
) -> Path:
    """Write a recipe for a project, and one for each other project that it needs, so that later runs offer them.

    Args:
        requirements: what the index will offer; the first is the project.

    Returns:
        The path of the project's recipe.

    Raises:
        UsageError: there is a different recipe of that name.
    """
    texts = tuple(requirements)
    first = next(iter(gathered.releases.values()))
    root = next((item for item in gathered.releases.values() if texts[0].startswith(item.name)), first)
    folder = recipes.folder
    for release in gathered.releases.values():
        is_root = release is root
        parts = (release.name, release.version) if is_root else (release.name,)
        file = folder.joinpath(*parts, "build.py")
        stated = [f"source=package_build.{_call(gathered.location_of(release), file.parent)}"]
        if is_root:
            stated += [f"as_of={json.dumps(as_of)}"] if as_of else []
            stated += [f"requirements={json.dumps(list(texts))}"]
        _write(file, stated)
    return folder / root.name / root.version / "build.py"


def _write(file: Path, stated: Iterable[str]) -> None:
    lines = "".join(f"    {keyword},\n" for keyword in stated)
    text = f"{_WRITTEN}from builder import package_build\n\npackage_build.build_package(\n{lines})\n"
    if file.is_file() and not file.read_text().startswith(_WRITTEN):
        raise UsageError(
            f"{file} is there already, and was not written by `crosswheel add`",
            hint="name the project as its source there, and run `crosswheel lock`; or move it away.",
        )
    write_text(file, text)


def _call(location: Location, folder: Path) -> str:
    source = _source(location, folder)
    stated = source.model_dump(mode="json", exclude={"kind"}, exclude_none=True)
    words = ", ".join(f"{name}={json.dumps(value)}" for name, value in stated.items())
    return f"{source.kind}_source({words})"


def _source(location: Location, folder: Path) -> Source:
    if isinstance(location, Path):
        return FolderSource(path=Path(os.path.relpath(location, folder)).as_posix())
    if isinstance(location, GitSource):
        return location
    if location.sha256 is None or urlsplit(location.url).scheme == "file":
        raise UsageError(
            f"{location.url} cannot be offered from now on: nobody else has it, or its hash is not stated",
            hint="add its project's folder or repository, or write #sha256=… behind the address.",
        )
    return UrlSource(url=location.url, sha256=location.sha256)
