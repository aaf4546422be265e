"""Fortran for a target: Debian's gfortran compiles, zig links.

The compiler is unpacked, not installed, and of it only what turns a source into an object file. Its runtime library
is linked in statically, so that a wheel needs nothing beside it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from crosswheel.cached import CachedFolder, cached_path
from crosswheel.debian import Debian, host_architecture
from crosswheel.debian.newer_glibc import C_LIBRARY, load_from, needs_libc
from crosswheel.errors import CrosswheelError, MissingToolError
from crosswheel.files import digest_of
from crosswheel.process import Runner, this_python
from crosswheel.settings import Settings
from crosswheel.targets import Target
from crosswheel.toolchain.compilers.gfortran import SOURCES
from crosswheel.toolchain.compilers.programs import (
    Compilers,
    has_sources,
    merge_archives,
    script,
    tools_folder,
)

_FRONT = Path(__file__).with_name("gfortran.py")
_ASYNC = Path(__file__).with_name("fortran_async.c")


@dataclass(frozen=True)
class Fortran:
    """A Fortran compiler for the target.

    Attributes:
        bin: the folder of ``gfortran``, which also lies there behind the target's GNU triple.
        runtime: the folder of its runtime library, a static archive.
        version: Debian's version of it.
    """

    bin: Path
    runtime: Path
    version: str

    @property
    def program(self) -> Path:
        """The compiler."""
        return self.bin / "gfortran"

    def environment(self) -> Mapping[str, str]:
        """Return the variables by which build systems find it."""
        return {name: str(self.program) for name in ("FC", "F77", "F90")}


def needs_fortran(tree: Path) -> bool:
    """Return whether a source tree has Fortran in it, beside tests, examples and documents."""
    return has_sources(tree, SOURCES)


def fortran_for(target: Target, compilers: Compilers, settings: Settings, runner: Runner) -> Fortran:
    """Return a Fortran compiler for the target, fetched if need be.

    Args:
        compilers: the target's C compilers; they link what it compiles.

    Raises:
        MissingToolError: it cannot be had.
    """
    runtimes, compiler_names = "usr/lib/gcc*/**/libgfortran.a", f"usr/bin/{target.multiarch}-gfortran-*"
    try:
        fetch = partial(_fetch, target, compilers, settings, runner)
        folder = CachedFolder(
            _folder(target, settings), [runtimes, compiler_names, "version"], is_sealed=True
        ).make(fetch)
    except CrosswheelError as error:
        raise MissingToolError(
            f"no Fortran compiler for {target.multiarch} could be fetched:\n    {error}",
            hint="check the network and the apt sources; or ask for a release without Fortran.",
        ) from error
    (runtime,) = (archive.parent for archive in folder.glob(runtimes))
    (compiler,) = folder.glob(compiler_names)
    libraries = folder / "usr" / "lib" / f"{os.uname().machine}-linux-gnu"
    binutils = folder / "usr" / "bin" / f"{target.multiarch}-"
    cpu = target.toolchain.cpu_model
    words = [
        this_python(),
        "-ISs",
        _FRONT,
        compiler,
        cpu,
        binutils,
        "" if needs_libc() else libraries,  # the programs know then where theirs are
        runtime,
        compilers.folder / "cc",
    ]
    programs = {"gfortran": script([str(word) for word in words])}
    tools = tools_folder(programs, {}, target.multiarch, settings.cache)
    return Fortran(tools, runtime, (folder / "version").read_text())


def fetched_version(target: Target, settings: Settings) -> str | None:
    """Return the version of the Fortran compiler that is there, if one was fetched."""
    file = _folder(target, settings) / "version"
    return file.read_text() if file.is_file() else None


def _folder(target: Target, settings: Settings) -> Path:
    libc = "-libc" if needs_libc() else ""
    name = f"{target.multiarch}-{digest_of(source=_ASYNC.read_text())}{libc}"
    return cached_path(settings.cache, "fortran", name)


def compiler_packages(target: Target, host: Debian) -> list[str]:
    """Return the packages of a host that make a Fortran compiler for a target, the compiler first."""
    triple = target.multiarch.replace("_", "-")  # a package's name has no underscore
    cross = f"gfortran-{triple}"
    if host.versions(cross):
        (compiler,) = _named(rf"gfortran-[\d.]+-{triple}", host, cross)
    else:  # for a target of the host's own architecture, the host's compiler is it
        (compiler,) = _named(r"gfortran-[\d.]+", host, "gfortran")
    (runtime,) = _named(r"libgfortran-[\d.]+-dev\b.*", host, compiler)
    (libgcc,) = _named(r"libgcc-[\d.]+-dev\b.*", host, runtime)
    programs = [compiler, f"binutils-{triple}"]
    return list(dict.fromkeys([*programs, runtime, libgcc, *host.shared_libraries(programs)]))


def _fetch(target: Target, compilers: Compilers, settings: Settings, runner: Runner, folder: Path) -> None:
    host = Debian(host_architecture(), settings, runner)
    needed = compiler_packages(target, host)
    brought = [C_LIBRARY] if needs_libc() else []
    versions = host.unpack([*needed, *brought], folder)
    if brought:
        load_from(folder, _folder(target, settings), runner)
    (archive,) = folder.glob("usr/lib/gcc*/**/libgfortran.a")
    for link in archive.parent.glob("*.so"):
        link.unlink()  # what is linked is inside the wheel
    _complete(archive, compilers, runner)
    (folder / "version").write_text(versions[needed[0]])


def _named(pattern: str, debian: Debian, package: str) -> list[str]:
    """Return those dependencies of a package that are named so."""
    return [name for name in debian.dependencies(package) if re.fullmatch(pattern, name)]


def _complete(archive: Path, compilers: Compilers, runner: Runner) -> None:
    """Make a runtime library of GCC's one that can be linked into anything, by any linker, with ``-lgfortran``."""
    member = archive.with_name("async.o")
    compilers.run(["cc", "-c", "-fPIC", _ASYNC, "-o", member], runner)
    compilers.run(["ar", "rcs", archive, member], runner)
    # GCC would add these without being asked.
    names = (
        "libgfortran.a",
        "libquadmath.a",
        "libgcc.a",
        "libgcc_eh.a",
    )  # the second where its CPU has no such numbers
    parts = [archive.with_name(name) for name in names]
    merge_archives([part for part in parts if part.exists()], archive, compilers, runner)
