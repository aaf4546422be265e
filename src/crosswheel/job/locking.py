"""Renewing locks: a root's closure, and the build requirements of everything in it that is built."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from crosswheel import lock as locks
from crosswheel.build import requirements as build_requirements
from crosswheel.build.requirements import LockedRequirements
from crosswheel.errors import LockError
from crosswheel.files import write_text
from crosswheel.job.closures import closure_of_lock
from crosswheel.job.making import committed_file, prepared_backend, prepared_project
from crosswheel.job.workplace import Workplace
from crosswheel.plan import Step
from crosswheel.recipes.model import Recipe


def renew(root: Recipe, place: Workplace) -> list[str]:
    """Resolve a root's closure and build requirements anew, as of its day; return what changed, a line each.

    The committed files are replaced only when all of it succeeded.

    Raises:
        LockError: no set of releases satisfies the requirements.
        NetworkError: the registry or a source cannot be reached.
    """
    path = locks.path_of(root, place.target)
    made_for, resolved = locks.resolve(
        root.roots, place.target, root.as_of, interpreter=place.toolchain.interpreter, uv=place.uv
    )
    draft = locks.write(place.trees.build / "locks" / path.name, made_for, resolved)
    old = None
    with contextlib.suppress(LockError):
        old = locks.read(path)
    closure = closure_of_lock(root, draft, place)
    built = [step for step in closure.steps.values() if step.action == "build"]
    place.display.expect([(step.pin.name, step.pin.version) for step in built])
    with ThreadPoolExecutor(2) as pool:
        texts = list(pool.map(partial(_build_requirements, root, place), built))
    for step, text in zip(built, texts):
        files_changed = _replace(committed_file(step, root, place), text)
        place.display.done(step.pin.name, "built" if files_changed else "found", "build requirements")
    _remove_others(root, place, [committed_file(step, root, place) for step in built])
    return locks.changes(old, locks.write(path, made_for, resolved))


def _build_requirements(root: Recipe, place: Workplace, step: Step) -> str:
    """Return the resolved build requirements of a package, as the text of a file."""
    place.display.start(step.pin.name, step.pin.version, "fetching")
    project, _ = prepared_project(step, place, place.display.warning)
    place.display.step(step.pin.name, "resolving")
    file = place.folder(step.pin.name, step.pin.version) / "build-requirements.txt"
    python = place.toolchain.host.executable

    def resolve(wanted: list[str]) -> LockedRequirements:
        return build_requirements.resolve(wanted, file, python=python, as_of=root.as_of, uv=place.uv)

    _, locked = prepared_backend(step, project, resolve, place)
    return locked.file.read_text()


def _replace(file: Path, text: str) -> bool:
    if file.is_file() and file.read_text() == text:
        return False
    write_text(file, text)
    return True


def _remove_others(root: Recipe, place: Workplace, kept: Sequence[Path]) -> None:
    for file in (root.folder / f"{place.target.name}.build").glob("*.txt"):
        if file not in kept:
            file.unlink()
