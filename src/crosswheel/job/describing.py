"""Finds the metadata that a wheel will have, before it is built: asks the build backend of its source."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable
from functools import partial

from pydantic import ValidationError

from crosswheel.build.metadata import asked_metadata, stated_metadata
from crosswheel.cached import cached_path
from crosswheel.errors import BuildFailed, LockError, PlanError
from crosswheel.files import digest_of, write_text
from crosswheel.job.context import BuildContext
from crosswheel.job.making import prepared_backend, prepared_project
from crosswheel.job.missing_inputs import missing, with_missing_inputs
from crosswheel.lock import Pin
from crosswheel.plan import Step
from crosswheel.recipes.loader import Recipes
from crosswheel.registry import Registry
from crosswheel.targets import Target
from crosswheel.uv import ReleaseMetadata


def describe(name: str, version: str, as_of: datetime.date | None, context: BuildContext) -> ReleaseMetadata:
    """Return the metadata that the wheel built from a release's source will have, with the recipe's patches applied.

    Raises:
        BuildFailed: the build backend cannot tell it.
        PlanError: the release has no source.
        LockError: the requirements of its backend cannot be satisfied.
        NetworkError: the source cannot be had.
    """
    step = _building(name, version, context.recipes, context.registry)

    def told() -> ReleaseMetadata:
        nested = context.nested(name, version).limited(step.recipe)
        with nested.own_folder(name, version):
            return with_missing_inputs(step, nested, partial(_described, as_of=as_of, context=nested))

    return cached_metadata(_digest(step, as_of, context.code_digest, context.target), told, context)


def cached_metadata(
    digest: str, make: Callable[[], ReleaseMetadata], context: BuildContext
) -> ReleaseMetadata:
    """Return the metadata in the cache under a digest; make and keep them if they are missing or damaged."""
    kept = cached_path(context.settings.cache, "metadata", f"{digest}.json")
    with context.lock_for(digest):
        with contextlib.suppress(FileNotFoundError, ValidationError):
            return ReleaseMetadata.model_validate_json(kept.read_bytes())
        metadata = make()
        write_text(kept, metadata.model_dump_json(indent=1))
    return metadata


def _building(name: str, version: str, recipes: Recipes, registry: Registry) -> Step:
    recipe = recipes.for_package(name, version)
    files = registry.release_files(name, version)
    sdist = next((file for file in files if file.kind == "sdist"), None)
    if sdist is None and not (recipe and recipe.source):
        raise PlanError(
            f"{name} {version} tells what it requires in none of its files, and has no sdist",
            hint="ask for another version of it, or name a source in a recipe for it.",
        )
    pin = Pin(name, version, frozenset(file.sha256 for file in files))
    return Step(pin, "build", sdist, (), recipe, "its metadata is asked for")


def _digest(step: Step, as_of: datetime.date | None, code_digest: str, target: Target) -> str:
    return digest_of(**step.inputs, as_of=as_of, target=target.fingerprint, code=code_digest)


def _described(step: Step, as_of: datetime.date | None, context: BuildContext) -> ReleaseMetadata:
    try:
        project, _ = prepared_project(step, context, context.display.warning)
        static = stated_metadata(project)
        if static:
            return static
        store = context.own_store(str(step.pin), as_of)
        backend, locked = prepared_backend(step, project, store, context)
        return asked_metadata(project, backend, locked)
    except (BuildFailed, LockError) as error:
        if missing(error, step):
            raise
        raise type(error)(
            f"what {step.pin} requires could not be learned from its source: {error}", hint=error.hint
        ) from error
    except ValueError as error:  # not a requirement (PEP 508) or not a version (PEP 440)
        raise BuildFailed(
            f"what {step.pin} requires could not be learned from its source: {error}",
            hint="mend what it states with a patch in a recipe for it.",
        ) from error
