"""A second try of a build that failed: with the build requirements of the day on which its release was published.

What a release of years ago requires for its build, such as any version of Cython, is satisfied by what came later,
which may no longer build it.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import replace

from crosswheel.build.requirements import RequirementsStore
from crosswheel.errors import BuildFailed, CrosswheelError, HostError, Interrupted
from crosswheel.files import write_text
from crosswheel.job.context import BuildContext
from crosswheel.job.record import WheelRecord
from crosswheel.plan import Step
from crosswheel.progress.wording import first_line
from crosswheel.uv import Uv

Build = Callable[[RequirementsStore], WheelRecord]
"""Builds a wheel with the build requirements of a store."""


def build_as_of_release(
    build: Build, error: BuildFailed, step: Step, store: RequirementsStore, context: BuildContext
) -> WheelRecord | None:
    """Build a wheel once more after an error, with the build requirements of its release's own day.

    What worked is what the closure's build requirements are from then on. Committed ones are never replaced.

    Returns:
        The wheel; ``None`` if that day's build requirements are no others, or the build fails with them, too.

    Raises:
        BuildFailed: the build requirements are committed; it is the error, with what to do about that.
    """
    day = _release_day(step, store)
    if day is None:
        return None
    if store.frozen:
        raise type(error)(error.message, hint=f"{error.hint.rstrip('.')}; {_remedy(step, day)}") from error
    return _built_as_of(day, build, step, store, context, error)


def _remedy(step: Step, day: datetime.date) -> str:
    pin = f"{step.pin.name}=={step.pin.version}"
    return (
        f"if its build requirements are too new for it, `crosswheel build {pin}` tries those of the day of its "
        f"release, {day}: name what worked with build_dependencies in a recipe."
    )


def _release_day(step: Step, store: RequirementsStore) -> datetime.date | None:
    """Return the day on which a step's source was published, if that is before the day of its build requirements."""
    published = step.file.upload_time if step.file else None
    day = store.as_of or store.day
    return published.date() if published and day and published.date() < day else None


def _built_as_of(
    day: datetime.date,
    build: Build,
    step: Step,
    store: RequirementsStore,
    context: BuildContext,
    error: BuildFailed,
) -> WheelRecord | None:
    """Return the wheel that is built with the requirements of a day; ``None`` if these are no others, or fail too."""
    name, failed = step.pin.name, store.read(step.pin.name)
    older = replace(store, folder=store.folder / day.isoformat(), as_of=day, day=day)
    uv = Uv(context.settings, context.runner(name, step.pin.version))
    try:
        if failed is not None:
            python = context.toolchain.host.executable
            locked = older.obtain(name, sorted(failed.requirements), python=python, uv=uv)
            if locked.pinned == failed.pinned:
                return None
        context.display.warning(
            f"{step.pin} is built once more, with build requirements as of its release, {day}: {first_line(str(error))}"
        )
        record = build(older)
    except (HostError, Interrupted):
        raise
    except CrosswheelError:
        context.cancellation.raise_if_requested()
        return None
    adopted = older.read(name)
    if adopted is not None:
        write_text(store.path(name), adopted.file.read_text())
    return record
