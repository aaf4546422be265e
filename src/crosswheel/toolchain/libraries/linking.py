"""Provide C libraries for a target by name: headers and static archives, which make wheels self-contained."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from packaging.version import Version

from crosswheel.cached import CachedFolder, cached_folder
from crosswheel.debian import Debian
from crosswheel.errors import BuildFailed, RecipeError
from crosswheel.files import digest_of
from crosswheel.process import Runner
from crosswheel.recipes.libraries import LibrarySpec
from crosswheel.settings import Settings
from crosswheel.shared_cache.cache import SharedCache
from crosswheel.targets import Target
from crosswheel.toolchain.compilers import cxx
from crosswheel.toolchain.compilers.fortran import fetched_version, fortran_for
from crosswheel.toolchain.compilers.programs import Compilers, merge_archives
from crosswheel.toolchain.libraries.archives import archive_members
from crosswheel.toolchain.libraries.builds import Workshop, relocated
from crosswheel.toolchain.libraries.exchange import KIND, fetch_folder, share_folder
from crosswheel.toolchain.libraries.origins import ORIGINS, Origin, write_origins

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


# Of the one C library, no version is too old for what compat.c stands in for in the other.
_NEWEST = "999999"
_HOW_BUILT = Path(__file__).with_name("builds.py")


@dataclass(frozen=True)
class Library:
    """A C library for the target: ``prefix`` holds ``include``, ``lib``, ``lib/pkgconfig`` and its licences.

    Its archives already contain the libraries that it ``needs``, whose licences apply, too. ``licence`` is an SPDX
    expression.
    """

    name: str
    prefix: Path
    versions: Mapping[str, str]
    environment: Mapping[str, str]
    needs: tuple[Library, ...] = ()
    language: str = "C"
    licence: str | None = None

    @property
    def licences(self) -> Sequence[Path]:
        """The licence texts that must accompany files into which it is linked."""
        return sorted(self.prefix.glob("copyright-*"))

    @property
    def shared(self) -> Sequence[Path]:
        """Its shared libraries, if it was not built as a static one."""
        paths = sorted((self.prefix / "lib").glob("*.so*"))
        return [path for path in paths if path.is_file() and not path.is_symlink()]


def known_libraries() -> Mapping[str, LibrarySpec]:
    """Return the libraries that crosswheel ships a specification for, by name."""
    text = (resources.files("crosswheel.toolchain.libraries") / "libraries.toml").read_text()
    return {name: LibrarySpec.model_validate(table) for name, table in tomllib.loads(text).items()}


def with_needs(libraries: Iterable[Library]) -> list[Library]:
    """Return libraries with their direct and indirect dependencies, each once."""
    by_name: dict[str, Library] = {}
    todo = list(libraries)
    while todo:
        item = todo.pop(0)
        by_name.setdefault(item.name, item)
        todo += item.needs
    return list(by_name.values())


def library(
    name: str,
    target: Target,
    compilers: Compilers,
    settings: Settings,
    runner: Runner,
    emulator: Sequence[str] = (),
    declared: Mapping[str, LibrarySpec] | None = None,
    shared: SharedCache | None = None,
) -> Library:
    """Return a C library for the target; download or build it if needed.

    Args:
        compilers: the compilers to build it with.
        emulator: the command prefix that runs a program of the target here.
        declared: additional libraries by name, from a folder of recipes; they override known ones.
        shared: the team's cache of built libraries.

    Raises:
        RecipeError: no library of that name is known.
        NetworkError, MissingToolError: it cannot be downloaded, or a program to build it with is missing.
        BuildFailed: it cannot be built.
    """
    spec = _for_target(_known(name, declared or {}), name, target)
    needs = tuple(
        library(need, target, compilers, settings, runner, emulator, declared, shared) for need in spec.needs
    )
    prefixes = [item.prefix for item in with_needs(needs)]
    built = not spec.packages
    links = bool(built and needs)  # also where only a configure script tries whether they can be linked
    digest = _digest(name, spec, target, compilers, prefixes)
    holds = ["versions", "include", "lib", "copyright-*", ORIGINS]
    kept = CachedFolder.of(settings.cache, "libraries", f"{name}-{target.toolchain.debian}-{digest}", holds)
    prefix = kept.path
    debian = Debian(target.toolchain.debian, settings, runner, suite=target.toolchain.archives)
    compat = compat_archive(target, compilers, settings.cache, runner) if links else None
    workshop = Workshop(target, compilers, debian, prefixes, emulator, compat)
    built_here = False

    def fill(temporary: Path) -> None:
        nonlocal built_here
        if built and fetch_folder(shared, KIND, temporary, prefix):
            return
        built_here = built
        if built:
            workshop.build(temporary, prefix, spec, spec.source or name)
        else:
            _take(temporary, prefix, spec, debian, target, compilers)
        workshop.finish(temporary, prefix, _knowing(spec, _version(temporary)))

    kept.make(fill)
    if built_here:
        share_folder(shared, KIND, prefix)
    return _described(name, prefix, spec, needs)


def _digest(name: str, spec: LibrarySpec, target: Target, compilers: Compilers, needs: Sequence[Path]) -> str:
    """Return the digest of all that a library for the target depends on."""
    built = not spec.packages
    return digest_of(
        said={**spec.inputs, **({"name": name} if spec.archive else {})},
        target=target.kind,
        compilers=compilers.identity if built or needs else None,
        needs=[path.name for path in needs],
        way=_HOW_BUILT.read_text() if built else None,
        compat=compat_inputs(target, compilers) if built and needs else None,
    )


def _described(name: str, prefix: Path, spec: LibrarySpec, needs: tuple[Library, ...]) -> Library:
    versions = _versions(prefix)
    words = {"prefix": prefix, "version": _version(prefix)}
    environment = {key: value.format_map(words) for key, value in spec.environment.items()}
    return Library(name, prefix, versions, environment, needs, spec.language, spec.licence)


def _versions(folder: Path) -> Mapping[str, str]:
    return dict(line.split(" ", 1) for line in (folder / "versions").read_text().splitlines())


def _version(folder: Path) -> str:
    """Return what its authors call the version of a library, without the words of Debian."""
    return re.split(r"[+-]", next(iter(_versions(folder).values())).rpartition(":")[2])[0]


def _knowing(spec: LibrarySpec, version: str) -> LibrarySpec:
    """Return a specification whose programs state the version."""
    scripts = {program: text.replace("{version}", version) for program, text in spec.scripts.items()}
    return spec.model_copy(update={"scripts": scripts})


def library_inputs(names: Iterable[str], declared: Mapping[str, LibrarySpec]) -> Mapping[str, Any]:
    """Return the specifications of libraries and their dependencies, by name; they identify the result.

    Raises:
        RecipeError: no library of a name is known.
    """
    inputs: dict[str, Any] = {}
    todo = list(names)
    while todo:
        name = todo.pop()
        if name not in inputs:
            spec = _known(name, declared)
            inputs[name] = {**spec.inputs, "language": spec.language}
            todo += spec.needs
    return inputs


def _for_target(spec: LibrarySpec, name: str, target: Target) -> LibrarySpec:
    """Return how a library is made for a target: Debian's archives are of no use for another C library than glibc."""
    if not ((spec.packages or spec.prebuilt) and target.abi.musl):
        return spec
    if spec.built is None:
        raise RecipeError(
            f"the C library {name} is taken from Debian, whose archives are for glibc, and {target.title} has "
            f"{target.abi.libc}",
            hint="a libraries.toml in the folder of recipes can tell how it is built, see docs/recipes.md.",
        )
    return spec.built.model_copy(update={"licence": spec.licence, "language": spec.language})


def _known(name: str, declared: Mapping[str, LibrarySpec]) -> LibrarySpec:
    known = {**known_libraries(), **declared}
    if name not in known:
        raise RecipeError(
            f"no C library named {name!r} is known",
            hint=f"known: {', '.join(sorted(known))}; a libraries.toml in the folder of recipes adds others, see "
            "docs/recipes.md.",
        )
    return known[name]


def _take(
    folder: Path, prefix: Path, spec: LibrarySpec, debian: Debian, target: Target, compilers: Compilers
) -> None:
    """Fill a folder with the headers and static archives of Debian's development packages."""
    unpacked = folder / "unpacked"
    packages = debian.unpack_packages(spec.packages, unpacked)
    include, lib = folder / "include", folder / "lib"
    shutil.copytree(unpacked / "usr" / "include", include, symlinks=False)
    (lib / "pkgconfig").mkdir(parents=True)
    libraries = unpacked / "usr" / "lib" / target.multiarch
    # Debian has separate folders for files that differ between architectures, or between variants of a library.
    for subfolder in (target.multiarch, *spec.folders):
        if (include / subfolder).is_dir():
            shutil.copytree(include / subfolder, include, dirs_exist_ok=True)
            shutil.rmtree(include / subfolder)
    for source_folder in (libraries, *(libraries / name for name in spec.folders)):
        for archive in _chosen(
            source_folder, "*.a", spec
        ):  # no shared library: what is linked is inside the wheel
            shutil.copyfile(archive, lib / archive.name, follow_symlinks=False)
        for description in _chosen(source_folder, "pkgconfig/*.pc", spec):
            text = _moved(description.read_text(), prefix, (target.multiarch, *spec.folders))
            (lib / "pkgconfig" / description.name).write_text(text)
    for name in spec.fortran:
        runtime = fortran_for(target, compilers, debian.settings, debian.runner).runtime / "libgfortran.a"
        archive = (lib / name).resolve()
        merge_archives([archive, runtime], archive, compilers, debian.runner)
        names = "".join(f"{member}\n" for member in archive_members(runtime))
        version = fetched_version(target, debian.settings)
        (folder / "fortran-members").write_text(f"{version}\n{names}")
    for old, new in spec.rename.items():
        (lib / old).replace(lib / new)
    # Packages of one source link to a single copy of its licence, which may be in a package that is not here.
    licences = [path for path in unpacked.glob("usr/share/doc/*/copyright") if not path.parent.is_symlink()]
    if not licences:
        raise BuildFailed(
            f"{', '.join(spec.packages)} have no licence beside them",
            hint="name the package that has it, too, with `packages` in libraries.toml.",
        )
    for licence in licences:
        shutil.copyfile(licence, folder / f"copyright-{licence.parent.name}")
    shutil.rmtree(unpacked)
    (folder / "versions").write_text("".join(f"{package.name} {package.version}\n" for package in packages))
    write_origins(folder, list(map(Origin.of_package, packages)))


def _chosen(folder: Path, pattern: str, spec: LibrarySpec) -> list[Path]:
    """Return the matching files to take for a library: all, unless its specification lists names."""
    return [path for path in folder.glob(pattern) if not spec.only or path.name in spec.only]


def _moved(description: str, prefix: Path, folders: Sequence[str]) -> str:
    """Return a pkg-config file for a library at ``prefix``, without the folders below it in ``folders``."""
    for name in folders:
        description = description.replace(f"/{name}", "")
    return relocated(description, prefix)


def compat_inputs(target: Target, compilers: Compilers) -> Mapping[str, str]:
    """Return all that the archive of :func:`compat_archive` depends on, and with it whatever links that."""
    return {
        "source": (resources.files("crosswheel.toolchain.libraries") / "compat.c").read_text(),
        "glibc": target.linked_glibc,
        "musl": target.abi.musl,
        "compilers": compilers.identity,
        "types": Path(cxx.__file__).read_text(),
    }


def compat_archive(target: Target, compilers: Compilers, cache: Path, runner: Runner) -> Path:
    """Return an archive of substitutes for functions that the target's C library lacks.

    Static archives want them, or the compiler's headers declare them.

    It also tells C++ types by their names, where each shared object has a C++ runtime of its own.
    """
    archive, inputs = "libcrosswheel-compat.a", compat_inputs(target, compilers)

    def fill(temporary: Path) -> None:
        (temporary / "compat.c").write_text(inputs["source"])
        glibc = target.linked_glibc.partition(".")[2] or _NEWEST
        numbers = (*Version(target.abi.musl).release, 0, 0)[:3] if target.abi.musl else ()
        musl = "".join(f"{number:02}" for number in numbers).lstrip("0") or _NEWEST
        defines = [f"-DTARGET_GLIBC_MINOR={glibc}", f"-DTARGET_MUSL={musl}"]
        compilers.run(["cc", "-c", "-fPIC", *defines, "compat.c", "-o", "compat.o"], runner, cwd=temporary)
        objects = ["compat.o", *cxx.compile_type_matching(compilers, runner, temporary)]
        compilers.run(["ar", "rcs", archive, *objects], runner, cwd=temporary)

    return cached_folder(cache, "compat", inputs, fill, [archive]) / archive


def link_environment(libraries: Sequence[Library], compat: Path, compilers: Compilers) -> Mapping[str, str]:
    """Return the variables with which compilers and build systems find these libraries, and none of this machine."""
    include = " ".join(f"-I{library.prefix / 'include'}" for library in libraries)
    lib = [f"-L{library.prefix / 'lib'}" for library in libraries]
    if any(library.language == "C++" for library in libraries):
        lib.append(compilers.cxx_runtime)
    variables = {key: value for library in libraries for key, value in library.environment.items()}
    return {
        "CFLAGS": include,
        "CXXFLAGS": include,
        "CPPFLAGS": include,
        "LDFLAGS": " ".join(lib),
        "CROSSWHEEL_COMPAT": str(compat),
        "PKG_CONFIG_LIBDIR": os.pathsep.join(
            str(library.prefix / "lib" / "pkgconfig") for library in libraries
        ),
        **variables,
    }
