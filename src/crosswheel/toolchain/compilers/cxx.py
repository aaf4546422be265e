"""Makes what zig compiles for a target, its C++ library above all, once, before the builds that link it."""

from __future__ import annotations

from pathlib import Path

from crosswheel.cached import cached_folder
from crosswheel.process import Runner
from crosswheel.toolchain.compilers.programs import Compilers, has_sources

_SOURCES = (".cpp", ".cc", ".cxx", ".c++")
_LIBCXXABI = Path("lib", "libcxxabi")  # in zig's folder


def needs_cxx(tree: Path) -> bool:
    """Return whether a source tree has C++ in it, beside tests, examples and documents."""
    return has_sources(tree, _SOURCES)


def make_c_runtime(compilers: Compilers, cache: Path, runner: Runner) -> None:
    """Have the compilers put what they link with everything into their own cache, if they compile it.

    zig compiles its runtime library and stubs of the C library for each target, which takes some seconds.
    """
    _link_nothing("cc", "empty.c", compilers, cache, runner)


def make_cxx_library(compilers: Compilers, cache: Path, runner: Runner) -> None:
    """Have the compilers put their C++ library into their own cache, if they compile one.

    zig compiles it from source for each target, which takes over a minute. Builds read the compilers' cache, but what
    they add to it is dropped with their sandbox.
    """
    _link_nothing("c++", "empty.cpp", compilers, cache, runner)


def _link_nothing(program: str, source: str, compilers: Compilers, cache: Path, runner: Runner) -> None:
    def fill(temporary: Path) -> None:
        (temporary / source).write_text("")
        compilers.run([program, "-shared", "-fPIC", source, "-o", "empty.so"], runner, cwd=temporary)

    cached_folder(cache, "compat", {program: compilers.identity}, fill, ["empty.so"])


def type_matching(compilers: Compilers) -> Path | None:
    """Return the source of how C++ types are told to be the same; ``None`` if the runtime is a shared library.

    zig links its C++ runtime into each shared object, where a type is known by its address. So an exception that one
    object throws would be of no type that another one catches. Known by their names, as GCC has it, they are the same.
    """
    source = compilers.home / _LIBCXXABI / "src" / "private_typeinfo.cpp" if compilers.home else None
    return source if source and source.is_file() else None


def compile_type_matching(compilers: Compilers, runner: Runner, folder: Path) -> list[str]:
    """Compile into ``folder`` what tells C++ types by their names; return the objects, none if there is no need."""
    source = type_matching(compilers)
    if source is None:
        return []
    words = [
        "-fPIC",
        "-Os",
        "-fvisibility=hidden",
        "-fvisibility-inlines-hidden",
        "-D_LIBCXXABI_BUILDING_LIBRARY",
    ]
    words += ["-D_LIBCPP_TYPEINFO_COMPARISON_IMPLEMENTATION=2", f"-I{source.parents[1] / 'include'}"]
    compilers.run(["c++", "-c", *words, source, "-o", "types.o"], runner, cwd=folder)
    return ["types.o"]
