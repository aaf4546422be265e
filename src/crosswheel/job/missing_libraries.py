"""Has a build link a C library that it asked for and did not find, if crosswheel knows it; and remembers which.

So a package whose build only lacks such a library needs no recipe.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from crosswheel.cached import cache_path, cached_path
from crosswheel.errors import BuildFailed
from crosswheel.files import full_digest_of, make_folder, write_text
from crosswheel.job.context import BuildContext
from crosswheel.plan import Step
from crosswheel.progress.wording import first_line
from crosswheel.settings import Settings
from crosswheel.shared_cache.records import CacheRecord

FOUND = "found-libraries"
"""The kind of the shared cache's records of what builds asked for."""
_LIBRARIES = TypeAdapter(tuple[str, ...])
_Result = TypeVar("_Result")


def with_missing_libraries(step: Step, context: BuildContext, work: Callable[[Step], _Result]) -> _Result:
    """Do a step's work; where its build lacks a C library that is known, do it again with that library.

    What worked is remembered, here and in the shared cache, so that the library is an input of the next build from
    the beginning.

    Args:
        work: builds a wheel, or asks a build backend.

    Raises: what ``work`` raises.
    """
    digest = full_digest_of(**step.inputs, target=context.target.fingerprint, code=context.code_digest)
    found = _known(digest, step, context)
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
            found = (*found, library)
        else:
            if found:
                _remember(found, digest, context)
            return result


def missing_library(error: BuildFailed, step: Step) -> str | None:
    """Return the C library that a step's build did not find, if it is a known one that was not linked."""
    linked = step.recipe.libraries if step.recipe else ()
    return error.library if error.library not in linked else None


def _known(digest: str, step: Step, context: BuildContext) -> tuple[str, ...]:
    """Return the libraries that a build of the same inputs asked for, here or on another machine."""
    kept = _place(digest, context.settings)
    with contextlib.suppress(FileNotFoundError, ValidationError):
        return _LIBRARIES.validate_json(kept.read_bytes())
    builds = step.action == "build" or step.fallback is not None
    if context.shared_cache is None or not builds:
        return ()
    record = _shared(digest, context)
    with contextlib.suppress(ValidationError):
        return _LIBRARIES.validate_python(record.facts.get("libraries") if record else ())
    return ()


def _remember(found: tuple[str, ...], digest: str, context: BuildContext) -> None:
    write_text(_place(digest, context.settings), _LIBRARIES.dump_json(found).decode())
    if context.shared_cache is not None and _shared(digest, context) is None:
        context.shared_cache.put(FOUND, digest, {"libraries": list(found)})


def _shared(digest: str, context: BuildContext) -> CacheRecord | None:
    assert context.shared_cache is not None
    folder = cache_path(context.settings.cache, "found-libraries")
    make_folder(folder)
    return context.shared_cache.get(FOUND, digest, folder)


def _place(digest: str, settings: Settings) -> Path:
    return cached_path(settings.cache, "found-libraries", f"{digest}.json")
