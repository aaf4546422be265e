"""Plans, for each locked release, which published wheel to take or what to build, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from crosswheel.check.parity import official_wheels
from crosswheel.errors import IntegrityError, LockError, PlanError
from crosswheel.lock import Pin
from crosswheel.recipes.model import Prefer, Recipe
from crosswheel.registry import ReleaseFile
from crosswheel.targets import Target
from crosswheel.wheels.preference import by_preference


@dataclass(frozen=True)
class Asked:
    """What a build asked for beside what its recipe states: C libraries by name, and build requirements."""

    libraries: tuple[str, ...] = ()
    build_dependencies: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.libraries or self.build_dependencies)

    def __str__(self) -> str:
        return ", ".join((*self.libraries, *self.build_dependencies))

    def with_more(self, more: Asked) -> Asked:
        """Return all that two builds asked for, in this order."""
        return Asked((*self.libraries, *more.libraries), (*self.build_dependencies, *more.build_dependencies))


NOTHING = Asked()
"""What most builds ask for."""


@dataclass(frozen=True)
class Step:
    """What to do for one release.

    Attributes:
        file: the wheel to take, or the sdist to build; ``None`` if the recipe names another source.
        official: the published wheels to compare a built one with, the nearest first.
        recipe: the recipe for this package, if there is one.
        reason: the reason for taking or building it, for people.
        fallback: what to do if the wheel to take is refused, which its name does not tell.
        has_pure: whether the registry has a pure wheel that could be taken instead of building.
        asked: what its build asked for; its recipe states that, too.
    """

    pin: Pin
    action: Literal["take", "build"]
    file: ReleaseFile | None
    official: tuple[ReleaseFile, ...]
    recipe: Recipe | None
    reason: str
    fallback: Step | None = None
    has_pure: bool = False
    asked: Asked = NOTHING

    def with_asked(self, asked: Asked) -> Step:
        """Return the step that gives its build what it asked for and did not find, and says so."""
        if not asked:
            return self
        recipe = self.recipe or Recipe(name=self.pin.name, file=Path(self.pin.name))
        every = Asked(recipe.libraries, recipe.build_dependencies).with_more(asked)
        recipe = recipe.model_copy(update=vars(every))
        fallback = self.fallback and self.fallback.with_asked(asked)
        reason = self.reason if self.action == "take" else f"{self.reason}; its build asked for {asked}"
        return replace(
            self, recipe=recipe, fallback=fallback, reason=reason, asked=self.asked.with_more(asked)
        )

    @property
    def inputs(self) -> dict[str, object]:
        """The inputs of a build that the step names, for its digest."""
        return {
            "name": str(self.pin),
            "source": self.file.sha256 if self.file else None,
            "recipe": self.recipe.fingerprint if self.recipe else None,
        }


def choose(
    pin: Pin,
    files: Sequence[ReleaseFile],
    recipe: Recipe | None,
    target: Target,
    *,
    prefer: Prefer = "native",
) -> Step:
    """Decide whether to take or build a release, from the files that the registry has and the lock allows.

    Args:
        prefer: the preference if the recipe states none (see :class:`Recipe`).

    Raises:
        PlanError: there is neither a wheel that loads on the target nor a source.
        IntegrityError, LockError: the lock allows no file of the registry, or not the user's project as it is now.
    """
    if files and files[0].origin:
        return _of_project(pin, files[0], recipe, target)
    allowed = [file for file in files if file.sha256 in pin.sha256]
    by_name = {file.filename: file for file in allowed if file.kind == "wheel"}
    takes = recipe is None or recipe.build_number is None  # a published wheel cannot have our build number
    wheels = [by_name[filename] for filename in by_preference(by_name, target)] if takes else []
    sdist = next((file for file in allowed if file.kind == "sdist"), None)
    prefer = (recipe.prefer if recipe else None) or prefer

    def build(reason: str, file: ReleaseFile | None = sdist) -> Step:
        official = tuple(by_name[filename] for filename in official_wheels([*by_name], target))
        return Step(pin, "build", file, official, recipe, _with_recipe(reason, recipe))

    def take(reason: str, fallback: Step | None = None) -> Step:
        return Step(pin, "take", wheels[0], (), recipe, _with_recipe(reason, recipe), fallback)

    if recipe and recipe.source:
        return build(f"the recipe names {recipe.source}", None)
    if prefer == "source" and sdist:
        return build("sources are preferred")
    if wheels and not _is_pure(wheels[0]):
        fallback = build("its published wheel was refused") if sdist else None
        return take("its published wheel loads there", fallback)
    native = _native_elsewhere(allowed, target)
    if wheels and native and prefer == "native" and sdist:
        slow = f"its pure wheel is only the slow fallback (native elsewhere: {_platform(native)})"
        return replace(build(slow), has_pure=True)
    if wheels:
        return take(recipe.prefer_reason if recipe and recipe.prefer_reason and native else "pure Python")
    why_built = (
        _why_no_wheel(allowed, target) if takes else "its recipe gives it a build number, so none is taken"
    )
    if sdist:
        return build(why_built)
    if files and not allowed:
        raise IntegrityError(
            f"none of the registry's files of {pin} has a hash that the lock names",
            hint="find out who changed them, the registry or the lock, before renewing it with `crosswheel lock`.",
        )
    raise PlanError(
        f"{pin} has neither a wheel that loads on {target.name} nor an sdist ({why_built})",
        hint="name a source in a recipe for it, or ask for another version; `crosswheel plan` shows all choices.",
    )


def _of_project(pin: Pin, file: ReleaseFile, recipe: Recipe | None, target: Target) -> Step:
    """Return the step for a project of the user's: it is built, unless the user gave a wheel of it."""
    if file.sha256 not in pin.sha256:
        raise LockError(
            f"your project {pin} is no longer what was locked",
            hint="renew its lock with `crosswheel lock`, and commit it with the change.",
        )
    if file.kind == "wheel" and not by_preference([file.filename], target):
        raise PlanError(
            f"{file.filename} does not load on {target.name}",
            hint="ask for its source instead, or for a wheel that was made for that machine.",
        )
    action: Literal["take", "build"] = "build" if file.kind == "sdist" else "take"
    return Step(pin, action, file, (), recipe, _with_recipe(f"it is {file.origin}", recipe))


def _with_recipe(reason: str, recipe: Recipe | None) -> str:
    """Return a reason with the label of the recipe that is used, if it states anything."""
    return f"{reason}; {recipe.label}" if recipe and recipe.label and recipe.says_how else reason


def _is_pure(wheel: ReleaseFile) -> bool:
    return wheel.filename.endswith("-any.whl")


def _native_elsewhere(files: Sequence[ReleaseFile], target: Target) -> ReleaseFile | None:
    """Return a native wheel of this release for this Python on other Linux machines, if there is one."""
    short = "".join(map(str, target.python.numbers))
    for file in files:
        if file.kind == "wheel" and "linux" in _platform(file):
            python, abi = file.filename[: -len(".whl")].split("-")[-3:-1]
            if f"cp{short}" in (python, abi) or abi == "abi3" or (python.startswith("py3") and abi == "none"):
                return file
    return None


def _platform(wheel: ReleaseFile) -> str:
    return wheel.filename[: -len(".whl")].split("-")[-1].split(".")[0]


def _why_no_wheel(files: Sequence[ReleaseFile], target: Target) -> str:
    wheels = [file for file in files if file.kind == "wheel"]
    same = [file for file in wheels if _platform(file).endswith(target.machine)]
    fitting = {(tag.interpreter, tag.abi) for tag in target.tags}
    of_python = {_platform(f) for f in same if any((t.interpreter, t.abi) in fitting for t in _tags(f))}
    standard = "musllinux" if target.abi.musl else "manylinux"
    newer = sorted(platform for platform in of_python if platform.startswith(standard))
    if newer:
        return f"its wheels for {target.machine} need more than {target.abi.libc}: {', '.join(newer)}"
    if of_python:
        other_pythons = ", ".join(sorted(of_python))
        return f"its wheels for {target.machine} are for another C library: {other_pythons}"
    if same:
        pythons = ", ".join(sorted({file.filename[: -len(".whl")].split("-")[-3] for file in same}))
        return f"its wheels for {target.machine} are for another Python than {target.python.short}: {pythons}"
    if wheels:
        return f"it has no wheel for {target.machine}"
    return "it has no wheel at all"


def _tags(wheel: ReleaseFile) -> frozenset[Tag]:
    try:
        return parse_wheel_filename(wheel.filename)[3]
    except InvalidWheelFilename:
        return frozenset()
