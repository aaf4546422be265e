"""Locks the closure of the user's projects in the build tree, where the lock stays until ``--upgrade``."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from crosswheel import lock as locks
from crosswheel.build.requirements import RequirementsStore
from crosswheel.files import digest_of
from crosswheel.job.closures import Closure, closure_of_pins, resolve, with_tests
from crosswheel.job.context import BuildContext
from crosswheel.lock import Lock
from crosswheel.projects.local_release import LocalRelease
from crosswheel.resolver import Request
from crosswheel.uv import Renewal


@dataclass(frozen=True)
class LockedProjects:
    """Locked projects with their closure.

    Attributes:
        name, version: of the first project of the request.
        lock: the path of the lock.
    """

    name: str
    version: str
    lock: Path
    closure: Closure


def locked_projects(
    request: Request, as_of: datetime.date | None, context: BuildContext, *, upgrade: bool = False
) -> LockedProjects:
    """Lock projects with their closure; pins of their earlier lock stay as far as they fit.

    Args:
        upgrade: pass over the earlier lock and take the newest releases.

    Raises:
        LockError: no set of releases satisfies the projects.
        PlanError: a release can be neither taken nor built.
    """
    requirements = with_tests(request.requirements, context.recipes)
    folder = context.trees.build / "locks" / _key(requirements, as_of, context)
    path = folder / "lock.txt"
    before = locks.read(path) if path.is_file() and not upgrade else None
    day = datetime.date.fromisoformat(before.made_for["day"]) if before else as_of or datetime.date.today()
    lock = _kept(before, path, context.projects, requirements)
    if lock is None:
        renewal = Renewal(path.read_text() if before else None)
        resolution = resolve(Request(requirements), as_of, context, renewal=renewal)
        made_for = {
            **resolution.made_for,
            "day": day.isoformat(),
            "projects": _state(context.projects, requirements),
        }
        lock = locks.write(path, made_for, resolution.text)
    store = RequirementsStore(folder / "build", as_of, frozen=False, day=day)
    first = Requirement(requirements[0])
    name = canonicalize_name(first.name)
    closure = closure_of_pins(requirements, lock.pins.values(), store, context)
    return LockedProjects(name, lock.pins[name].version, path, closure)


def _key(requirements: tuple[str, ...], as_of: datetime.date | None, context: BuildContext) -> str:
    """Return the name of a request's lock, without the versions of projects, which change too often."""
    versions = {release.name: release.version for release in context.projects}
    unversioned = [
        text.replace(f"=={versions[name]}", "")
        if (name := canonicalize_name(Requirement(text).name)) in versions
        else text
        for text in requirements
    ]
    return digest_of(
        projects=unversioned, as_of=as_of, target=context.target.fingerprint, registries=context.registries
    )


def _state(projects: Sequence[LocalRelease], requirements: tuple[str, ...]) -> str:
    """Return the digest of all in the projects that their closure depends on; their code is not part of it."""
    metadata = [release.metadata.model_dump(mode="json") for release in projects]
    return digest_of(metadata=metadata, requirements=requirements)


def _kept(
    before: Lock | None, path: Path, projects: Sequence[LocalRelease], requirements: tuple[str, ...]
) -> Lock | None:
    """Return the earlier lock if none of its inputs has changed, with the projects' present versions in it."""
    if before is None or before.made_for.get("projects") != _state(projects, requirements):
        return None
    text = path.read_text()
    pins = dict(before.pins)
    for release in projects:
        pin = pins.get(release.name)
        if pin is not None:
            for sha256 in pin.sha256:
                text = text.replace(sha256, release.file.sha256)
            pins[release.name] = replace(pin, sha256=frozenset({release.file.sha256}))
    if text != path.read_text():
        return locks.rewrite(path, text)
    return Lock(before.made_for, pins)
