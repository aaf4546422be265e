"""Has a build link a C library that it asked for and did not find, if crosswheel knows it; and remembers which.

So a package whose build only lacks such a library needs no recipe: whether the build stops, or goes on without and
makes a wheel that lacks an extension module.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from crosswheel.cached import cache_path
from crosswheel.errors import BuildFailed, CheckFailed, CrosswheelError, RecipeError
from crosswheel.files import full_digest_of, make_folder, write_text
from crosswheel.job.context import BuildContext
from crosswheel.plan import Step
from crosswheel.process import Cancellation
from crosswheel.progress.wording import first_line
from crosswheel.shared_cache.cache import SharedCache

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
    note = _note(step, context)
    result, found = retried(step, work, context.display.warning, context.cancellation, note.read())
    if found:
        note.write(found)
    return result


def retried(
    step: Step,
    work: Callable[[Step], _Result],
    warn: Callable[[str], None],
    cancellation: Cancellation,
    found: tuple[str, ...] = (),
) -> tuple[_Result, tuple[str, ...]]:
    """Do a step's work as :func:`with_missing_libraries` does, which remembers nothing.

    Args:
        found: the libraries to link from the beginning.

    Returns:
        What ``work`` returns, and the libraries that were linked.

    Raises: what ``work`` raises; a library that cannot be had for the target is told as a failed build.
    """
    failed: BuildFailed | CheckFailed | None = None
    while True:
        trial = step.with_libraries(found)
        try:
            return work(trial), found
        except RecipeError as error:
            if failed is None:
                raise
            raise BuildFailed(f"{failed}\n{error}", hint=error.hint) from error
        except (BuildFailed, CheckFailed) as error:
            cancellation.raise_if_requested()
            library, failed = missing_library(error, trial), error
            if library is None:
                raise
            warn(f"{step.pin} is built once more, with the C library {library}: {_cause(error)}")
            found = (*found, library)


def _cause(error: CrosswheelError) -> str:
    """Return why a build failed, in one line; what was refused says that in its second line."""
    first, _, rest = str(error).strip().partition("\n")
    return f"{first} {first_line(rest)}" if first.endswith(":") else first


def missing_library(error: BuildFailed | CheckFailed, step: Step) -> str | None:
    """Return the C library that a step's build did not find, if it is a known one that was not linked."""
    linked = step.recipe.libraries if step.recipe else ()
    return error.library if error.library not in linked else None


@dataclass(frozen=True)
class _Note:
    """Which libraries a build of some inputs asked for: noted in a folder of the cache, and in the shared cache."""

    digest: str
    folder: Path
    shared: SharedCache | None

    @property
    def path(self) -> Path:
        return self.folder / f"{self.digest}.json"

    def read(self) -> tuple[str, ...]:
        with contextlib.suppress(FileNotFoundError, ValidationError):
            return _LIBRARIES.validate_json(self.path.read_bytes())
        return self._read_shared()

    def _read_shared(self) -> tuple[str, ...]:
        if self.shared is None:
            return ()
        make_folder(self.folder)
        record = self.shared.get(FOUND, self.digest, self.folder)
        with contextlib.suppress(ValidationError):
            return _LIBRARIES.validate_python(record.facts.get("libraries") if record else ())
        return ()

    def write(self, libraries: tuple[str, ...]) -> None:
        write_text(self.path, _LIBRARIES.dump_json(libraries).decode())
        if self.shared is not None and not self._read_shared():
            self.shared.put(FOUND, self.digest, {"libraries": list(libraries)})


def _note(step: Step, context: BuildContext) -> _Note:
    digest = full_digest_of(**step.inputs, target=context.target.fingerprint, code=context.code_digest)
    builds = step.action == "build" or step.fallback is not None  # what is taken asks for nothing
    shared = context.shared_cache if builds else None
    return _Note(digest, cache_path(context.settings.cache, "found-libraries"), shared)
