"""Build Pythons from source: choose the version, its libraries and the machine."""

from __future__ import annotations

import os
from collections.abc import Callable

from crosswheel import targets
from crosswheel.cached import cache_path
from crosswheel.errors import TargetError
from crosswheel.process import Runner
from crosswheel.settings import Settings
from crosswheel.shared_cache.cache import SharedCache
from crosswheel.targets import PythonSource, Target
from crosswheel.toolchain.compilers.zig import zig_compilers
from crosswheel.toolchain.libraries.linking import Library, library, with_needs
from crosswheel.toolchain.python.cpython import CPythonBuild
from crosswheel.toolchain.python.tree import PythonTree

Tell = Callable[[str], None]
"""Receives progress messages, a few words each."""

_LIBRARIES = ("bzip2", "libedit", "libffi", "ncurses", "openssl", "sqlite", "uuid", "xz", "zlib")
_MODULES = (
    "_bz2", "_ctypes", "_curses", "_curses_panel", "_decimal", "_hashlib", "_lzma", "_sqlite3", "_ssl", "_uuid",
    "pyexpat", "readline", "zlib",
)  # fmt: skip
# Libraries that build backends need: for compression and for calling C libraries.
_HOST_LIBRARIES = ("bzip2", "libffi", "xz", "zlib")
_HOST_MODULES = ("_bz2", "_ctypes", "_decimal", "_lzma", "pyexpat", "zlib")


def built_python(
    target: Target,
    settings: Settings,
    runner: Runner,
    tell: Tell = lambda step: None,
    shared: SharedCache | None = None,
) -> PythonTree:
    """Return the Python that is built from source for a target; build it if needed.

    Raises:
        NetworkError, IntegrityError: its source, or that of a library, is not available.
        MissingToolError: a program that builds it is missing.
        BuildFailed: it, or a module of its standard library, cannot be built.
    """
    source = source_of(target)
    host = built_host_python(source, settings, runner, tell, shared)
    return CPythonBuild(target, source, _LIBRARIES, _MODULES, settings, runner, tell, host, shared).tree()


def linked_libraries(target: Target, settings: Settings, runner: Runner) -> list[Library]:
    """Return the libraries inside the Python that is built for a target, with those that they need."""
    compilers = zig_compilers(target, settings.cache)
    return with_needs([library(name, target, compilers, settings, runner) for name in _LIBRARIES])


def built_host_python(
    source: PythonSource,
    settings: Settings,
    runner: Runner,
    tell: Tell = lambda step: None,
    shared: SharedCache | None = None,
) -> PythonTree:
    """Return a Python of a release for this machine; build it if needed. Errors are those of :func:`built_python`.

    Raises:
        TargetError: no target describes how to compile for this architecture.
    """
    target = host_target()
    return CPythonBuild(
        target, source, _HOST_LIBRARIES, _HOST_MODULES, settings, runner, tell, None, shared
    ).tree()


def host_target() -> Target:
    """Return the target for programs of this architecture: any Linux that is not very old.

    Raises:
        TargetError: there is none.
    """
    name = f"linux-{os.uname().machine.replace('_', '-')}"
    if name not in targets.names():
        raise TargetError(
            f"no Python can be built for this machine: there is no target {name}",
            hint="build on Linux on x86-64 or aarch64.",
        )
    return targets.load(name)


def has_built(target: Target, settings: Settings) -> bool:
    """Return whether the cache has the Python of a target, built with the present tools."""
    kept = cache_path(settings.cache, "python")
    source = source_of(target)
    return any(kept.glob(f"cpython-{source.version}-{target.toolchain.debian}-*"))


def source_of(target: Target) -> PythonSource:
    """Return the source that a target's Python is built from."""
    source = target.python.source
    if source is None:
        source = targets.python_source(target.python.short)
    return source
