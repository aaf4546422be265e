"""Finds recipes and reads them: runs each ``build.py`` with a ``builder`` module that only records the calls.

A folder of recipes comes before the helpers that ship with crosswheel, for packages that need help everywhere.
"""

from __future__ import annotations

import runpy
import sys
import traceback
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from pathlib import Path

from packaging.utils import canonicalize_name

from crosswheel.errors import RecipeError
from crosswheel.recipes.api import PackageBuild
from crosswheel.recipes.libraries import LibrarySpec, read_libraries
from crosswheel.recipes.model import Recipe


@dataclass(frozen=True)
class Recipes:
    """The recipes of a folder, with the helpers that ship with crosswheel.

    Attributes:
        roots: the roots, from ``<name>/<version>/build.py``.
        helpers: how to build packages of a closure, by normalised name, from ``<name>/build.py``.
        libraries: additional C libraries, by name, from ``libraries.toml``.
    """

    folder: Path
    roots: tuple[Recipe, ...]
    helpers: Mapping[str, Recipe]
    libraries: Mapping[str, LibrarySpec] = field(default_factory=dict)

    def for_package(self, name: str, version: str) -> Recipe | None:
        """Return the recipe for a package of a closure: the root of that version, or a helper.

        If the root does not say how to build the package, the helper does, with the root's build number.
        """
        root, helper = self.root_of(name, version), self.helpers.get(canonicalize_name(name))
        if root is None or root.says_how or helper is None:
            return root or helper
        if root.build_number is None:
            return helper
        return helper.model_copy(update={"build_number": root.build_number})

    def root_of(self, name: str, version: str) -> Recipe | None:
        """Return the root of a release, however its folder spells name and version (PEP 503, PEP 440)."""
        roots = self._roots_by_name.get(canonicalize_name(name), ())
        return next((root for root in roots if root.is_of(name, version)), None)

    @cached_property
    def _roots_by_name(self) -> Mapping[str, list[Recipe]]:
        """The roots by normalised name, of which there may be thousands: each release of a closure is looked up."""
        roots: dict[str, list[Recipe]] = {}
        for root in self.roots:
            roots.setdefault(root.canonical_name, []).append(root)
        return roots


def load_folder(folder: Path, dist: Path) -> Recipes:
    """Read every recipe below ``folder``.

    Args:
        dist: the root of ``dist/``; each recipe is told the folder of its wheel in it.

    Raises:
        RecipeError: the folder does not exist, or a recipe is wrong, or two are for one package; the message names
            file and line.
    """
    if not folder.is_dir():
        raise RecipeError(
            f"there is no folder of recipes {folder}",
            hint="point --recipes at one; it holds <name>/<version>/build.py.",
        )
    roots: list[Recipe] = []
    helpers: dict[str, Recipe] = {}
    for file in sorted(folder.rglob("build.py")):
        for recipe in load_file(file, folder, dist):
            if recipe.version is None:
                _refuse_second(recipe, helpers.get(recipe.canonical_name))
                helpers[recipe.canonical_name] = recipe
            else:
                _refuse_second(recipe, next((r for r in roots if r.is_of(recipe.name, recipe.version)), None))
                roots.append(recipe)
    return Recipes(folder, tuple(roots), {**shipped_helpers(), **helpers}, read_libraries(folder))


def shipped_helpers() -> Mapping[str, Recipe]:
    """Return the helpers that ship with crosswheel, by normalised name."""
    folder = Path(str(resources.files("crosswheel.recipes") / "data"))
    helpers = [
        recipe for file in sorted(folder.glob("*/build.py")) for recipe in load_file(file, folder, folder)
    ]
    return {
        recipe.canonical_name: recipe.model_copy(update={"label": "crosswheel's recipe"})
        for recipe in helpers
    }


def _refuse_second(recipe: Recipe, first: Recipe | None) -> None:
    # The original tool's scripts call build_package twice to build from two sources.
    if first is not None and first.file != recipe.file:
        raise RecipeError(
            f"{first.file} and {recipe.file} are for one package: names and versions differ in spelling only",
            hint="keep one of them.",
        )


def load_file(file: Path, folder: Path, dist: Path) -> list[Recipe]:
    """Read one ``build.py``; its path below ``folder`` names its package and version."""
    parts = file.parent.relative_to(folder).parts
    if len(parts) not in (1, 2):
        raise RecipeError(
            f"{file} is not where a recipe belongs",
            hint="a recipe lies at <name>/<version>/build.py, or at <name>/build.py if it only helps other packages.",
        )
    collector = PackageBuild(file, parts[0], parts[1] if len(parts) == 2 else None, dist.joinpath(*parts))
    _run(file, collector)
    if not collector.recipes:
        raise RecipeError(f"{file} never calls build_package", hint="docs/recipes.md has examples.")
    label = file.relative_to(folder.parent).as_posix()
    return [recipe.model_copy(update={"label": label}) for recipe in collector.recipes]


def _run(file: Path, collector: PackageBuild) -> None:
    try:
        with _builder_module(collector):
            runpy.run_path(str(file), run_name="__main__")
    except RecipeError:
        raise
    except SyntaxError as error:
        raise RecipeError(
            f"{error.filename}, line {error.lineno}: {error.msg}", hint="mend that line."
        ) from error
    except SystemExit as error:
        if error.code in (None, 0):  # a script may call sys.exit()
            return
        raise _mistake(file, error) from error
    except Exception as error:
        raise _mistake(file, error) from error


def _mistake(file: Path, error: BaseException) -> RecipeError:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(file)]
    line = f", line {frames[-1].lineno}" if frames else ""
    return RecipeError(
        f"{file}{line}: {type(error).__name__}: {error}", hint="mend that line; docs/recipes.md has examples."
    )


@contextmanager
def _builder_module(collector: PackageBuild) -> Iterator[None]:
    """Make ``from builder import package_build`` import the collector during the block."""
    package = types.ModuleType("builder")
    package.package_build = collector  # type: ignore[attr-defined]
    names = {"builder": package, "builder.package_build": collector}
    previous = {name: sys.modules.get(name) for name in names}
    sys.modules.update(names)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name, module in previous.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module
