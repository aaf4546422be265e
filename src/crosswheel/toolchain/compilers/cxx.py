"""Makes the C++ library of a target once, before the builds that link it."""

from __future__ import annotations

from pathlib import Path

from crosswheel.cached import cached_folder
from crosswheel.process import Runner
from crosswheel.toolchain.compilers.programs import Compilers, has_sources

_SOURCES = (".cpp", ".cc", ".cxx", ".c++")


def needs_cxx(tree: Path) -> bool:
    """Return whether a source tree has C++ in it, beside tests, examples and documents."""
    return has_sources(tree, _SOURCES)


def make_cxx_library(compilers: Compilers, cache: Path, runner: Runner) -> None:
    """Have the compilers put their C++ library into their own cache, if they compile one.

    zig compiles it from source for each target, which takes over a minute. Builds read the compilers' cache, but what
    they add to it is dropped with their sandbox.
    """

    def fill(temporary: Path) -> None:
        (temporary / "empty.cpp").write_text("")
        compilers.run(["c++", "-shared", "-fPIC", "empty.cpp", "-o", "empty.so"], runner, cwd=temporary)

    cached_folder(cache, "compat", {"cxx": compilers.identity}, fill, ["empty.so"])
