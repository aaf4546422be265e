"""The wheels of a project that its maintainers release: those alone, built and tested as the project says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from crosswheel.errors import UsageError
from crosswheel.job.closures import Closure
from crosswheel.job.context import BuildContext
from crosswheel.progress import Display
from crosswheel.projects.cibuildwheel import CibuildwheelSettings, settings_of
from crosswheel.projects.pyproject import ProjectFolder
from crosswheel.recipes.model import Recipe
from crosswheel.targets import Target


@dataclass(frozen=True)
class Releasing:
    """How the wheels of what is asked for are released.

    Attributes:
        alone: keep no others; what they require is made only to run them.
        tag: ``manylinux`` gives them the tag of the oldest policy of PEP 600 that they keep.
        variables: the environment, in which settings for cibuildwheel count more than those of the project.
    """

    alone: bool = False
    tag: Literal["linux", "manylinux"] = "linux"
    variables: Mapping[str, str] = field(default_factory=dict)

    def of(self, closure: Closure, names: Iterable[str]) -> Closure:
        """Return a closure of which the packages that were asked for are released in this way."""
        asked = frozenset(names)
        steps = dict(closure.steps)
        for name in asked & steps.keys() if self.tag != "linux" else ():
            step = steps[name]
            recipe = step.recipe or Recipe(name=name, file=Path(name))
            fallback = step.fallback and replace(step.fallback, recipe=self._tagged(recipe))
            steps[name] = replace(step, recipe=self._tagged(recipe), fallback=fallback)
        return replace(closure, steps=steps, kept=asked if self.alone else None)

    def _tagged(self, recipe: Recipe) -> Recipe:
        return recipe.model_copy(update={"tag": self.tag})


class LeftOut(UsageError):
    """The settings of a project leave out its build for a target."""


def with_settings(
    requirements: Iterable[str], folders: Mapping[str, Path], releasing: Releasing, context: BuildContext
) -> tuple[tuple[str, ...], BuildContext]:
    """Read the settings for cibuildwheel of projects that are asked for, and let their builds heed them.

    Args:
        requirements: what is asked for.
        folders: where the projects lie, by name.

    Returns:
        The requirements, with the extras that the tests need; and a context in which the builds heed the settings.

    Raises:
        LeftOut: the settings do not mean the build for this target.
        UsageError: a setting has no meaning.
    """
    helpers, texts = dict(context.recipes.helpers), []
    for text in requirements:
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        settings = (
            settings_of(ProjectFolder(folders[name]), context.target, releasing.variables)
            if name in folders
            else None
        )
        if settings:
            _tell(settings, name, context.display, context.target)
            requirement.extras |= set(settings.test_extras)
            helpers[name] = _recipe(name, folders[name], settings, helpers.get(name))
        texts.append(str(requirement))
    return tuple(texts), replace(context, recipes=replace(context.recipes, helpers=helpers))


def _tell(settings: CibuildwheelSettings, name: str, display: Display, target: Target) -> None:
    if not settings.is_selected:
        raise LeftOut(
            f"{name}'s settings for cibuildwheel leave out {settings.identifier}: it is not built for "
            f"{target.name}",
            hint="change build or skip there; or set CIBW_BUILD and CIBW_SKIP, which count more.",
        )
    if settings.not_honoured:
        display.message(
            f"Of {name}'s settings for cibuildwheel, these change nothing here: {', '.join(settings.not_honoured)}."
        )


def _recipe(name: str, folder: Path, settings: CibuildwheelSettings, helper: Recipe | None) -> Recipe:
    """Return a project's settings as a recipe; what a recipe of its name says besides holds as well."""
    base = helper or Recipe(name=name, file=folder / "pyproject.toml")
    return base.model_copy(
        update={
            "label": "its settings for cibuildwheel",
            "build_dependencies": (*base.build_dependencies, *settings.build_dependencies),
            "before_build": settings.before_build or None,
            "environment": {**base.environment, **settings.environment},
            "config_settings": {**base.config_settings, **settings.config_settings},
            "test_requires": (*base.test_requires, *settings.test_requires),
            "test_command": settings.test_command or None,
            "test_sources": settings.test_sources,
        }
    )
