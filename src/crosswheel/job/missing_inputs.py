"""Gives a build what it asked for and did not find, if crosswheel knows it; and remembers that.

So a package whose build only lacks a C library, or a program that a package brings, needs no recipe: whether the build
stops, or goes on without and makes a wheel that lacks an extension module.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pydantic import TypeAdapter, ValidationError

from crosswheel.cached import cache_path
from crosswheel.errors import BuildFailed, CheckFailed, CrosswheelError, LockError, RecipeError
from crosswheel.files import full_digest_of, make_folder, write_text
from crosswheel.job.context import BuildContext
from crosswheel.plan import NOTHING, Asked, Step
from crosswheel.process import Cancellation
from crosswheel.progress.wording import first_line
from crosswheel.shared_cache.cache import SharedCache

ASKED = "asked-for"
"""The kind of the shared cache's records of what builds asked for."""
_ASKED = TypeAdapter(Asked)
_Result = TypeVar("_Result")


def with_missing_inputs(step: Step, context: BuildContext, work: Callable[[Step], _Result]) -> _Result:
    """Do a step's work; where its build lacks a C library or a program that is known, do it again with that.

    What worked is remembered, here and in the shared cache, so that it is an input of the next build from the
    beginning.

    Args:
        work: builds a wheel, or asks a build backend.

    Raises: what ``work`` raises.
    """
    note = _note(step, context)
    result, asked = retried(step, work, context.display.warning, context.cancellation, note.read())
    if asked:
        note.write(asked)
    return result


def retried(
    step: Step,
    work: Callable[[Step], _Result],
    warn: Callable[[str], None],
    cancellation: Cancellation,
    asked: Asked = NOTHING,
) -> tuple[_Result, Asked]:
    """Do a step's work as :func:`with_missing_inputs` does, which remembers nothing.

    Args:
        asked: what the build is given from the beginning.

    Returns:
        What ``work`` returns, and what the build was given.

    Raises: what ``work`` raises; what cannot be had for it is told as a failed build.
    """
    failed: BuildFailed | CheckFailed | None = None
    while True:
        trial = step.with_asked(asked)
        try:
            return work(trial), asked
        except (RecipeError, LockError) as error:
            if failed is None:
                raise
            hint = failed.hint if isinstance(error, LockError) else error.hint
            raise BuildFailed(f"{failed}\n{error}", hint=hint) from error
        except (BuildFailed, CheckFailed) as error:
            cancellation.raise_if_requested()
            more, failed = missing(error, trial), error
            if not more:
                raise
            kind = "C library" if more.libraries else "program"
            warn(f"{step.pin} is built once more, with the {kind} {more}: {_cause(error)}")
            asked = asked.with_more(more)


def _cause(error: CrosswheelError) -> str:
    """Return why a build failed, in one line; what was refused says that in its second line."""
    first, _, rest = str(error).strip().partition("\n")
    return f"{first} {first_line(rest)}" if first.endswith(":") else first


def missing(error: CrosswheelError, step: Step) -> Asked:
    """Return what a step's build did not find, if crosswheel knows it and did not give it to the build."""
    recipe = step.recipe
    if isinstance(error, (BuildFailed, CheckFailed)) and error.library:
        linked = recipe.libraries if recipe else ()
        return Asked(libraries=() if error.library in linked else (error.library,))
    if isinstance(error, BuildFailed) and error.build_dependency:
        texts = recipe.build_dependencies if recipe else ()
        stated = {canonicalize_name(Requirement(text).name) for text in texts}
        return Asked(build_dependencies=() if error.build_dependency in stated else (error.build_dependency,))
    return NOTHING


@dataclass(frozen=True)
class _Note:
    """What a build of some inputs asked for: noted in a folder of the cache, and in the shared cache."""

    digest: str
    folder: Path
    shared: SharedCache | None

    @property
    def path(self) -> Path:
        return self.folder / f"{self.digest}.json"

    def read(self) -> Asked:
        with contextlib.suppress(FileNotFoundError, ValidationError):
            return _ASKED.validate_json(self.path.read_bytes())
        return self._read_shared()

    def _read_shared(self) -> Asked:
        if self.shared is None:
            return NOTHING
        make_folder(self.folder)
        record = self.shared.get(ASKED, self.digest, self.folder)
        with contextlib.suppress(ValidationError):
            return _ASKED.validate_python(record.facts) if record else NOTHING
        return NOTHING

    def write(self, asked: Asked) -> None:
        write_text(self.path, _ASKED.dump_json(asked).decode())
        if self.shared is not None and not self._read_shared():
            self.shared.put(ASKED, self.digest, asdict(asked))


def _note(step: Step, context: BuildContext) -> _Note:
    digest = full_digest_of(**step.inputs, target=context.target.fingerprint, code=context.code_digest)
    builds = step.action == "build" or step.fallback is not None  # what is taken asks for nothing
    shared = context.shared_cache if builds else None
    return _Note(digest, cache_path(context.settings.cache, "asked-for"), shared)
