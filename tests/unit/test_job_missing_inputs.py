"""A build that lacks a library or a program is done once more with it; what does not help is told, not tried again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from crosswheel.errors import BuildFailed, Interrupted, RecipeError
from crosswheel.job.missing_inputs import retried
from crosswheel.lock import Pin
from crosswheel.plan import Asked, Step
from crosswheel.process import Cancellation
from crosswheel.recipes.model import Recipe

STEP = Step(Pin("demo", "1.0", frozenset()), "build", None, (), None, "it has no wheel")


def lacking(library: str) -> BuildFailed:
    error = BuildFailed(f"{library} was not found", hint="name it.")
    error.library = library
    return error


def test_each_library_that_is_asked_for_is_linked_and_told() -> None:
    told: list[str] = []

    def work(step: Step) -> str:
        linked = step.recipe.libraries if step.recipe else ()
        for library in ("libyaml", "zlib"):
            if library not in linked:
                raise lacking(library)
        return step.reason

    reason, asked = retried(STEP, work, told.append, Cancellation())
    assert (reason, asked) == (
        "it has no wheel; its build asked for libyaml, zlib",
        Asked(("libyaml", "zlib")),
    )
    assert [text.partition(":")[0] for text in told] == [
        "demo==1.0 is built once more, with the C library libyaml",
        "demo==1.0 is built once more, with the C library zlib",
    ]


def test_a_program_that_is_asked_for_is_installed_once() -> None:
    told: list[str] = []

    def work(step: Step) -> None:
        error = BuildFailed("the program swig is missing", hint="name it.")
        error.build_dependency = "swig"
        raise error

    with pytest.raises(BuildFailed, match="swig is missing"):
        retried(STEP, work, told.append, Cancellation())
    assert told == ["demo==1.0 is built once more, with the program swig: the program swig is missing"]
    told.clear()
    older = Recipe(name="demo", file=Path("build.py"), build_dependencies=("SWIG<4.3",))
    with pytest.raises(BuildFailed, match="swig is missing"):
        retried(replace(STEP, recipe=older), work, told.append, Cancellation())
    assert told == []


def test_a_library_that_the_target_cannot_have_is_told_beside_what_asked_for_it() -> None:
    def work(step: Step) -> str:
        if step.recipe:
            raise RecipeError("hdf5 is for glibc", hint="build it.")
        raise lacking("hdf5")

    with pytest.raises(BuildFailed, match="hdf5 was not found\nhdf5 is for glibc") as raised:
        retried(STEP, work, lambda text: None, Cancellation())
    assert raised.value.hint == "build it."


def test_what_was_stopped_is_not_tried_again() -> None:
    def work(step: Step) -> str:
        cancellation.cancel()
        raise lacking("libyaml")

    cancellation = Cancellation()
    with pytest.raises(Interrupted):
        retried(STEP, work, lambda text: None, cancellation)
