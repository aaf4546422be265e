"""Renews locks: those of a root's closure, and of the build requirements of each package that is built."""

from __future__ import annotations

import contextlib
import shutil
from functools import partial

from crosswheel import lock as locks
from crosswheel.build.requirements import RequirementsStore
from crosswheel.errors import LockError
from crosswheel.files import write_text
from crosswheel.job.closures import closure_of_lock, committed_folder, resolve
from crosswheel.job.context import BuildContext
from crosswheel.job.making import prepared_backend, prepared_project, settled
from crosswheel.job.missing_inputs import with_missing_inputs
from crosswheel.plan import Step
from crosswheel.recipes.model import Recipe
from crosswheel.resolver import Request
from crosswheel.targets import Target
from crosswheel.uv import Renewal


def renew(root: Recipe, context: BuildContext, renewal: Renewal | None = None) -> list[str]:
    """Resolve a root's closure and build requirements again, as of its day; return a line for each change.

    The committed files are replaced only after everything succeeded.

    Args:
        renewal: which pins of the lock stay; by default every release is the newest that the day allows.

    Raises:
        LockError: no set of releases satisfies the requirements.
        NetworkError: the registry or a source cannot be reached.
    """
    path = locks.path_of(root, context.target)
    old = None
    with contextlib.suppress(LockError):
        old = locks.read(path)
    renewal = renewal or Renewal(exceptions=locks.exceptions_of(old.made_for) if old else {})
    resolution = resolve(Request(root.roots), root.as_of, context, renewal=renewal)
    made_for = locks.with_exceptions(resolution.made_for, renewal.exceptions)
    if old and old.made_for.get("as-of") == made_for["as-of"] and locks.NEWER in old.made_for:
        made_for = {**made_for, locks.NEWER: old.made_for[locks.NEWER]}
    drafts = context.trees.build / "locks" / f"{root.name}-{root.version}-{context.target.name}"
    shutil.rmtree(drafts, ignore_errors=True)
    store = RequirementsStore(drafts / "build", root.as_of, frozen=False)
    draft = locks.write(drafts / "lock.txt", made_for, resolution.text)
    closure = closure_of_lock(root, draft, store, context)
    with context.workers(2) as pool:
        steps = pool.map(lambda step: settled(step, context), closure.steps.values())
        built = [step for step in steps if step.action == "build"]
        context.display.expect([(step.pin.name, step.pin.version) for step in built])
        lock_build = partial(_lock_build, store, context)
        list(pool.map(lambda step: with_missing_inputs(step, context, lock_build), built))
    _replace_committed(root, store, context.target)
    return locks.changes(old, locks.write(path, made_for, resolution.text))


def _lock_build(store: RequirementsStore, context: BuildContext, step: Step) -> None:
    """Lock the build requirements of a package: fetch its source, and ask its build backend."""
    context.display.start(step.pin.name, step.pin.version, "fetching")
    project, _ = prepared_project(step, context, context.display.warning)
    context.display.step(step.pin.name, "resolving")
    prepared_backend(step, project, store, context)
    context.display.done(step.pin.name, "built", "its build requirements are locked")


def _replace_committed(root: Recipe, store: RequirementsStore, target: Target) -> None:
    committed = committed_folder(root, target)
    for file in store.folder.glob("*.txt"):
        write_text(committed / file.name, file.read_text())
    for file in committed.glob("*.txt"):
        if not (store.folder / file.name).is_file():
            file.unlink()
