"""Has a build link a C library that it asked for and did not find, if crosswheel knows it; and remembers which.

So a package whose build only lacks such a library needs no recipe.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from crosswheel.cached import cached_path
from crosswheel.errors import BuildFailed
from crosswheel.files import digest_of, write_text
from crosswheel.job.context import BuildContext
from crosswheel.plan import Step
from crosswheel.progress.wording import first_line

_LIBRARIES = TypeAdapter(tuple[str, ...])
_Result = TypeVar("_Result")


def with_missing_libraries(step: Step, context: BuildContext, work: Callable[[Step], _Result]) -> _Result:
    """Do a step's work; where its build lacks a C library that is known, do it again with that library.

    What worked is remembered, so that the library is an input of the next build from the beginning.

    Args:
        work: builds a wheel, or asks a build backend.

    Raises: what ``work`` raises.
    """
    kept, found = _place(step, context), list[str]()
    with contextlib.suppress(FileNotFoundError, ValidationError):
        found += _LIBRARIES.validate_json(kept.read_bytes())
    known = len(found)
    while True:
        trial = step.with_libraries(found)
        try:
            result = work(trial)
        except BuildFailed as error:
            context.cancellation.raise_if_requested()
            library = missing_library(error, trial)
            if library is None:
                raise
            context.display.warning(
                f"{step.pin} is built once more, with the C library {library}: {first_line(str(error))}"
            )
            found.append(library)
        else:
            if len(found) > known:
                write_text(kept, _LIBRARIES.dump_json(tuple(found)).decode())
            return result


def missing_library(error: BuildFailed, step: Step) -> str | None:
    """Return the C library that a step's build did not find, if it is a known one that was not linked."""
    linked = step.recipe.libraries if step.recipe else ()
    return error.library if error.library not in linked else None


def _place(step: Step, context: BuildContext) -> Path:
    digest = digest_of(**step.inputs, target=context.target.fingerprint, code=context.code_digest)
    return cached_path(context.settings.cache, "found-libraries", f"{digest}.json")
