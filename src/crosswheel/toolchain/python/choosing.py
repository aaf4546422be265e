"""Choose the Pythons of a target: its own, and one of the same version for the build machine.

The target's Python, to compile against and to emulate, is the first of these that the target's file states: the
packages of its distribution, a published build, our own build from source, headers alone. Build backends run on a
published build for this machine, or otherwise on our own.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from crosswheel import targets
from crosswheel.errors import TargetError
from crosswheel.process import Runner
from crosswheel.settings import Settings
from crosswheel.shared_cache.cache import SharedCache
from crosswheel.targets import PythonSource, Target
from crosswheel.toolchain.python.built import Tell, built_host_python, built_python, has_built
from crosswheel.toolchain.python.distribution import has_published, published_python
from crosswheel.toolchain.python.headers import headers_for
from crosswheel.toolchain.python.packaged import has_packaged, packaged_python
from crosswheel.toolchain.python.tree import PythonTree


def pythons(
    target: Target,
    settings: Settings,
    runner: Runner | None = None,
    tell: Tell = lambda step: None,
    shared: SharedCache | None = None,
) -> tuple[PythonTree, PythonTree]:
    """Return what :func:`target_python` and :func:`host_python` do, set up at the same time if neither is built.

    Where the target's own is built, the other one is built first, and runs its build.
    """
    make = (target, settings, runner, tell, shared)
    if _source(target):
        return target_python(*make), host_python(*make)
    with ThreadPoolExecutor(1) as pool:
        host = pool.submit(host_python, *make)
        return target_python(*make), host.result()


def target_python(
    target: Target,
    settings: Settings,
    runner: Runner | None = None,
    tell: Tell = lambda step: None,
    shared: SharedCache | None = None,
) -> PythonTree:
    """Return the target's own Python; set it up if needed. It may be headers alone, if no other is available.

    Args:
        tell: receives messages about steps that take minutes.
        shared: the team's cache of what was built.

    Raises:
        NetworkError: a download failed.
        IntegrityError: its bytes are not those that the target states.
        BuildFailed, MissingToolError: it cannot be built.
    """
    python, runner = target.python, runner or Runner()
    if python.packaged:
        return packaged_python(target, settings, runner)
    if python.target:
        return published_python(target, python.target, settings)
    if python.source:
        return built_python(target, settings, runner, tell, shared)
    assert python.headers is not None
    return headers_for(target, published_python(target, python.headers, settings), settings.cache)


def host_python(
    target: Target,
    settings: Settings,
    runner: Runner | None = None,
    tell: Tell = lambda step: None,
    shared: SharedCache | None = None,
) -> PythonTree:
    """Return a Python of the target's version for this machine; set it up if needed.

    Raises:
        TargetError: there is none for this architecture.
        NetworkError, IntegrityError, BuildFailed, MissingToolError: as for :func:`target_python`.
    """
    machine, python = os.uname().machine, target.python
    if machine in python.host:
        return published_python(target, python.host[machine], settings, runner or Runner())
    source = _source(target)
    if source is None:
        raise TargetError(
            f"target {target.name} names no host Python {python.version} for {machine}",
            hint=f"build on {', '.join(sorted(python.host))}; or add [python.host].{machine} to its file.",
        )
    return built_host_python(source, settings, runner or Runner(), tell, shared)


def has_host(target: Target) -> bool:
    """Return whether a Python of the target's version for this machine exists or can be built."""
    return os.uname().machine in target.python.host or _source(target) is not None


def _source(target: Target) -> PythonSource | None:
    """Return the source to build the target's Python for this machine; ``None`` if a published one is used."""
    if target.python.target or target.python.headers:
        return None  # published builds have to match each other
    return target.python.source or targets.python_sources().get(target.python.short)


def has_pythons(target: Target, settings: Settings) -> bool:
    """Return whether the cache has both Pythons of a target: its own, and the one for this machine."""
    python = target.python
    published = python.target or python.headers
    if python.packaged:
        own = has_packaged(target, settings)
    else:
        own = has_published(target, published, settings) if published else has_built(target, settings)
    host = python.host.get(os.uname().machine)
    return own and (
        has_published(target, host, settings, is_host=True) if host else has_built(target, settings)
    )


def origin(target: Target) -> str:
    """Return the origin of a target's Pythons, in words."""
    python = target.python
    if python.packaged:
        return f"unpacked from Debian's packages ({target.toolchain.suite})"
    if python.target or python.headers:
        return "fetched from a Maven repository (45 MB)"
    return f"built from the source of CPython {python.version}, once; that takes minutes"
