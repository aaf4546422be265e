"""The plan: what loads on the robot is taken, what does not is built, and the reason is told."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from crosswheel import targets
from crosswheel.errors import IntegrityError, PlanError
from crosswheel.lock import Pin
from crosswheel.plan import Step, choose
from crosswheel.recipes.model import PypiSource, Recipe
from crosswheel.registry import ReleaseFile

OT2 = targets.load("ot2")
PURE = "demo-1.0-py3-none-any.whl"
X86 = "demo-1.0-cp310-cp310-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
ARM = "demo-1.0-cp310-cp310-manylinux_2_17_armv7l.manylinux2014_armv7l.whl"
SDIST = "demo-1.0.tar.gz"


def file(name: str) -> ReleaseFile:
    digest = hashlib.sha256(name.encode()).hexdigest()
    kind = "wheel" if name.endswith(".whl") else "sdist"
    return ReleaseFile.model_validate({"filename": name, "url": f"u/{name}", "sha256": digest, "kind": kind})


def plan(*names: str, locked: tuple[str, ...] | None = None, **said: object) -> Step:
    """Plan a release that has some files, all locked unless told otherwise, with a recipe where that says something."""
    files = [file(name) for name in names]
    allowed = frozenset(file(name).sha256 for name in (names if locked is None else locked))
    recipe = Recipe.model_validate({"name": "demo", "file": Path("build.py"), **said}) if said else None
    return choose(Pin("demo", "1.0", allowed), files, recipe, OT2)


def chosen(step: Step) -> tuple[str, str | None]:
    return step.action, step.file.filename if step.file else None


def test_a_native_wheel_that_loads_is_taken() -> None:
    step = plan(SDIST, PURE, X86, ARM)
    assert chosen(step) == ("take", ARM)
    assert "loads there" in step.reason


@pytest.mark.parametrize(
    "wheel",
    [
        "demo-1.0-cp310-cp310-manylinux_2_25_armv7l.whl",
        "demo-1.0-cp310-cp310-linux_armv7l.whl",
        "demo-1.0-cp37-abi3-manylinux_2_17_armv7l.whl",
        "demo-1.0-py3-none-manylinux_2_17_armv7l.whl",
    ],
)
def test_every_kind_of_native_wheel_that_loads_is_taken(wheel: str) -> None:
    assert chosen(plan(SDIST, X86, wheel)) == ("take", wheel)


def test_where_a_native_wheel_is_refused_after_all_its_source_is_built() -> None:
    fallback = plan(SDIST, X86, "demo-1.0-cp310-cp310-linux_armv7l.whl").fallback
    assert fallback is not None
    assert chosen(fallback) == ("build", SDIST)
    assert "refused" in fallback.reason
    assert plan(X86, ARM).fallback is None


def test_the_wheel_that_pip_on_the_robot_would_choose_is_taken() -> None:
    abi3, newer = (
        "demo-1.0-cp37-abi3-manylinux_2_17_armv7l.whl",
        "demo-1.0-cp310-cp310-manylinux_2_24_armv7l.whl",
    )
    assert chosen(plan(abi3, newer, ARM, PURE)) == ("take", newer)
    assert chosen(plan(PURE, abi3)) == ("take", abi3)


def test_a_package_that_is_pure_everywhere_is_taken() -> None:
    step = plan(SDIST, PURE)
    assert chosen(step) == ("take", PURE)
    assert step.reason == "pure Python"


@pytest.mark.parametrize("pure", [PURE, "demo-1.0-py2.py3-none-any.whl", "demo-1.0-py310-none-any.whl"])
def test_a_pure_wheel_beside_native_ones_is_the_slow_fallback_and_so_it_is_built(pure: str) -> None:
    step = plan(SDIST, pure, X86)
    assert chosen(step) == ("build", SDIST)
    assert "slow fallback" in step.reason
    assert step.has_pure
    assert "manylinux_2_17_x86_64" in step.reason


def test_a_slow_fallback_without_source_is_better_than_nothing() -> None:
    assert chosen(plan(PURE, X86)) == ("take", PURE)


@pytest.mark.parametrize(
    "elsewhere",
    [
        "demo-1.0-cp310-cp310-win_amd64.whl",  # often only a launcher
        "demo-1.0-cp312-cp312-manylinux_2_17_x86_64.whl",  # native code for a newer Python only
    ],
)
def test_native_wheels_that_say_nothing_of_this_robot_do_not_make_a_pure_one_slow(elsewhere: str) -> None:
    assert chosen(plan(SDIST, PURE, elsewhere)) == ("take", PURE)


@pytest.mark.parametrize(
    ("wheels", "reason"),
    [
        (
            ["demo-1.0-cp310-cp310-manylinux_2_28_armv7l.whl"],
            "need more than glibc 2.25: manylinux_2_28_armv7l",
        ),
        (["demo-1.0-cp310-cp310-musllinux_1_1_armv7l.whl"], "for another C library: musllinux_1_1_armv7l"),
        (
            [
                "demo-1.0-cp312-cp312-manylinux_2_17_armv7l.whl",
                "demo-1.0-cp313-cp313-musllinux_1_1_armv7l.whl",
            ],
            "for another Python than 3.10: cp312, cp313",
        ),
        (
            ["demo-1.0-cp312-cp312-linux_armv7l.whl", "demo-1.0-cp310-cp310-manylinux_2_28_armv7l.whl"],
            "need more than glibc 2.25: manylinux_2_28_armv7l",
        ),
        ([X86], "it has no wheel for armv7l"),
        ([], "it has no wheel at all"),
    ],
)
def test_what_has_no_wheel_that_loads_is_built_and_the_reason_told(wheels: list[str], reason: str) -> None:
    step = plan(SDIST, *wheels)
    assert chosen(step) == ("build", SDIST)
    assert reason in step.reason


def test_only_locked_files_are_used() -> None:
    assert chosen(plan(SDIST, ARM, locked=(SDIST,))) == ("build", SDIST)
    with pytest.raises(
        IntegrityError, match=r"none of the registry's files of demo==1\.0 has a hash that the lock"
    ):
        plan(SDIST, ARM, locked=())
    with pytest.raises(PlanError):
        plan()


def test_neither_wheel_nor_source_is_answered_with_the_reason_and_what_to_do() -> None:
    with pytest.raises(PlanError) as caught:
        plan("demo-1.0-cp310-cp310-manylinux_2_28_armv7l.whl", X86)
    assert "demo==1.0 has neither a wheel that loads on ot2 nor an sdist" in caught.value.message
    assert "need more than glibc 2.25" in caught.value.message
    assert "recipe" in caught.value.hint


def test_what_is_built_is_compared_with_the_nearest_official_wheel() -> None:
    mac, aarch64 = (
        "demo-1.0-cp310-cp310-macosx_11_0_arm64.whl",
        "demo-1.0-cp310-cp310-manylinux_2_17_aarch64.whl",
    )
    assert [file.filename for file in plan(SDIST, mac, X86, aarch64).official] == [aarch64, X86]
    assert plan(SDIST).official == ()
    assert plan(ARM, X86).official == ()


def test_a_recipe_that_names_a_source_is_followed() -> None:
    source = PypiSource(name="demo", version="1.0")
    step = plan(SDIST, ARM, X86, source=source)
    assert chosen(step) == ("build", None)
    assert step.recipe is not None
    assert len(step.official) == 2
    assert str(source) in step.reason


def test_a_recipe_that_prefers_source_is_followed() -> None:
    assert chosen(plan(SDIST, ARM, prefer="source")) == ("build", SDIST)
    assert chosen(plan(ARM, prefer="source")) == ("take", ARM)


def test_a_recipe_that_prefers_published_wheels_is_followed_with_its_reason() -> None:
    step = plan(SDIST, PURE, X86, prefer="published", prefer_reason="as fast")
    assert chosen(step) == ("take", PURE)
    assert step.reason == "as fast"
    assert chosen(plan(SDIST, X86, prefer="published")) == ("build", SDIST)


def test_the_reason_tells_whose_recipe_is_used() -> None:
    label = "packages/demo/build.py"
    assert plan(PURE, label=label, tests=("t.py",)).reason == f"pure Python; {label}"
    assert plan(ARM, SDIST, label=label, optimize="s").fallback.reason.endswith(f"; {label}")  # type: ignore[union-attr]
    assert plan(PURE, label=label, as_of="2025-04-25").reason == "pure Python"


def test_what_has_a_build_number_is_built_and_never_taken() -> None:
    step = plan(ARM, SDIST, build_number=1)
    assert chosen(step) == ("build", SDIST)
    assert "build number" in step.reason
    with pytest.raises(PlanError, match="its recipe gives it a build number"):
        plan(ARM, build_number=1)


def test_of_equal_tags_the_highest_build_is_taken_as_pip_does() -> None:
    builds = [ARM.replace("1.0-", f"1.0-{build}-") for build in ("2", "10", "10a")]
    assert chosen(plan(builds[1], ARM, builds[0])) == ("take", builds[1])
    assert chosen(plan(*builds)) == ("take", builds[2])


def test_the_command_line_decides_where_the_recipe_is_silent() -> None:
    pin, files = Pin("demo", "1.0", frozenset(file(n).sha256 for n in (SDIST, ARM))), [file(SDIST), file(ARM)]
    silent = Recipe(name="demo", file=Path("build.py"))
    native = Recipe(name="demo", file=Path("build.py"), prefer="native")
    assert chosen(choose(pin, files, None, OT2, prefer="source")) == ("build", SDIST)
    assert chosen(choose(pin, files, silent, OT2, prefer="source")) == ("build", SDIST)
    assert chosen(choose(pin, files, native, OT2, prefer="source")) == ("take", ARM)


def test_names_that_are_no_wheel_names_do_no_harm() -> None:
    assert chosen(plan(SDIST, "demo-1.0.whl", "demo.whl")) == ("build", SDIST)
