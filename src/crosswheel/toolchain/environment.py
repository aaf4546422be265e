"""Assemble the cross environment: all that a build needs to know, as variables for its backend."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from crosswheel.cached import cache_path
from crosswheel.errors import UsageError
from crosswheel.process import Runner
from crosswheel.recipes.libraries import LibrarySpec
from crosswheel.sandbox.levels import Sandbox, find_sandbox
from crosswheel.sandbox.view import View
from crosswheel.settings import Settings
from crosswheel.shared_cache.cache import SharedCache
from crosswheel.targets import Target
from crosswheel.toolchain.build_systems import QEMU_ENVIRONMENT, build_system_environment, description_folder
from crosswheel.toolchain.compilers.cxx import type_matching
from crosswheel.toolchain.compilers.fortran import fortran_for
from crosswheel.toolchain.compilers.programs import Compilers
from crosswheel.toolchain.compilers.rust import Rust
from crosswheel.toolchain.compilers.sdk import Sdk
from crosswheel.toolchain.compilers.zig import zig_compilers
from crosswheel.toolchain.libraries.linking import (
    Library,
    compat_archive,
    library,
    link_environment,
    with_needs,
)
from crosswheel.toolchain.libraries.pkg_config import pkg_config_folder
from crosswheel.toolchain.python.built import Tell
from crosswheel.toolchain.python.choosing import pythons
from crosswheel.toolchain.python.identity import asked_interpreter, identity_folder
from crosswheel.toolchain.python.tree import PythonTree
from crosswheel.wheels.writing import EPOCH


@dataclass(frozen=True)
class Toolchain:
    """The tools that all builds for a target share.

    Attributes:
        python: the target's Python, for headers and for emulation.
        host: a Python of the same version that runs here.
        compilers: the compilers for the target.
        identity: the folder that makes ``host`` answer as the target (for ``PYTHONPATH``).
        interpreter: an interpreter that always answers as the target (for uv).
        sysroot: the SDK's folder of the target's own libraries, if an SDK is used.
    """

    target: Target
    settings: Settings
    python: PythonTree
    host: PythonTree
    compilers: Compilers
    identity: Path
    interpreter: Path
    sysroot: Path | None = None

    @property
    def sandbox(self) -> Sandbox:
        """The sandbox that isolates a build; raises :class:`MissingToolError` if the host supports none."""
        return find_sandbox(self.settings.sandbox)


@dataclass(frozen=True)
class Languages:
    """What a package is written in, besides C and Python."""

    rust: bool = False
    fortran: bool = False
    cxx: bool = False


C_ALONE = Languages()


@dataclass(frozen=True)
class CrossEnvironment:
    """The variables of one build, the versions of its tools by name, and the C libraries that it may link.

    ``places`` maps folders of this machine that must not appear in the output to the names that replace them; ``view``
    lists the files that its programs see.
    """

    variables: Mapping[str, str]
    versions: Mapping[str, str]
    program_folders: tuple[Path, ...] = ()
    libraries: tuple[Library, ...] = ()
    renamed: Mapping[Path, str] = field(default_factory=dict)
    view: View = field(default_factory=View)

    def for_hook(self, venv: Path, tree: Path, extra: Mapping[str, str]) -> dict[str, str]:
        """Return the complete environment of a build hook, in which the interpreter of ``venv`` is the target's."""
        named = self.named(venv, tree)
        folders = [venv / "bin", *self.program_folders, *map(Path, os.defpath.split(os.pathsep))]
        return {
            "PATH": os.pathsep.join(dict.fromkeys(map(str, folders))),
            "HOME": str(tree.parent),
            "LC_ALL": "C.UTF-8",
            "VIRTUAL_ENV": str(venv),
            # A tool that searches upwards for a repository would find ours; a git source has its own below.
            "GIT_CEILING_DIRECTORIES": str(venv.parent),
            "CROSSWHEEL_PREFIX_MAP": os.pathsep.join(f"{folder}={name}" for folder, name in named.items()),
            "SOURCE_DATE_EPOCH": str(EPOCH),
            "PYTHONHASHSEED": "0",  # code generators that iterate over sets depend on the order of hashes
            **QEMU_ENVIRONMENT,
            **self.variables,
            **_remapping(self.variables, named),
            **extra,
        }

    def named(self, venv: Path, tree: Path) -> Mapping[Path, str]:
        """Return the folders that a wheel must not name, with their replacements; of two, the later counts."""
        return {**self.renamed, venv.parent: "/build", venv: "/usr", tree: "."}


def _remapping(variables: Mapping[str, str], named: Mapping[Path, str]) -> Mapping[str, str]:
    """Return the variables with ``rustc``'s flags for replacing folder names.

    The unpacked crates of a registry lie in a folder that is named after the registry's address.
    """
    if "CARGO_HOME" not in variables:
        return {}
    sources = sorted(Path(variables["CARGO_HOME"], "registry", "src").glob("*"))
    every = {**named, **dict.fromkeys(sources, "/usr/share/cargo/registry")}
    # cargo splits the variable at spaces, without any quoting.
    flags = [
        f"--remap-path-prefix={folder}={name}" for folder, name in every.items() if " " not in str(folder)
    ]
    return {
        name: " ".join([text, *flags])
        for name, text in variables.items()
        if name.startswith("CARGO_TARGET_") and name.endswith("_RUSTFLAGS")
    }


def toolchain_for(
    target: Target,
    settings: Settings,
    *,
    sdk: Sdk | None = None,
    runner: Runner | None = None,
    tell: Tell = lambda step: None,
    shared: SharedCache | None = None,
) -> Toolchain:
    """Return the toolchain of a target; download it if needed.

    Args:
        sdk: the vendor's compilers and headers, to use instead of zig and the headers of our Python.
        runner: builds its Pythons, if none are published; its ``tell`` receives the progress.
        shared: the team's cache of what was built.

    Raises:
        NetworkError, IntegrityError: the target's Python is not available.
        BuildFailed, MissingToolError: it cannot be built.
        TargetError: there is no Python of the target's version for this machine.
    """
    python, host = pythons(target, settings, runner, tell, shared)
    if sdk:
        python = replace(python, headers=sdk.headers(target))
        compilers = sdk.compilers(target, settings.cache)
    else:
        compilers = zig_compilers(target, settings.cache)
    identity = identity_folder(target, python, compilers, settings.cache)
    interpreter = asked_interpreter(host, identity, settings.cache)
    sysroot = sdk.sysroot if sdk else None
    return Toolchain(target, settings, python, host, compilers, identity, interpreter, sysroot)


def cross_environment(
    toolchain: Toolchain,
    emulator: Sequence[str],
    runner: Runner,
    *,
    libraries: Sequence[str] = (),
    rust: Rust | None = None,
    fortran: bool = False,
    cxx: bool = False,
    declared: Mapping[str, LibrarySpec] | None = None,
    shared: SharedCache | None = None,
) -> CrossEnvironment:
    """Return the environment of a build.

    Args:
        emulator: the command prefix that runs a program of the target here.
        libraries: the names of C libraries to provide.
        rust: the Rust compiler, if the build needs one.
        fortran, cxx: whether the build compiles Fortran, or C++.
        declared: additional C libraries, declared in a folder of recipes.
        shared: the team's cache of built libraries.

    Raises:
        MissingToolError, NetworkError: Fortran or a library is not available.
        RecipeError: no library of that name is known.
        UsageError: compilers cannot run from this cache folder.
    """
    target, settings, compilers = toolchain.target, toolchain.settings, toolchain.compilers
    fault = settings.cache_fault
    if fault:
        raise UsageError(fault, hint="name a folder without blanks in CROSSWHEEL_CACHE.")
    variables = _base_variables(toolchain)
    versions = {**compilers.versions, "CPython": target.python.version}
    folders: tuple[Path, ...] = (compilers.folder, pkg_config_folder(target, settings.cache))
    found_fortran = fortran_for(target, compilers, settings, runner) if fortran else None
    if found_fortran:
        variables.update(found_fortran.environment())
        versions["gfortran"] = found_fortran.version
        folders = (*folders, found_fortran.bin)
    linked = with_needs(
        library(name, target, compilers, settings, runner, emulator, declared, shared) for name in libraries
    )
    variables.update(_link_variables(toolchain, linked, runner, fortran=fortran, cxx=cxx))
    versions.update({f"lib:{name}": v for item in linked for name, v in item.versions.items()})
    folders += tuple(item.prefix / "bin" for item in linked if (item.prefix / "bin").is_dir())
    prefixes = [item.prefix for item in linked]
    descriptions = description_folder(
        target, toolchain.python, compilers.folder, found_fortran, emulator, prefixes, settings.cache
    )
    variables.update(build_system_environment(descriptions))
    if rust:
        variables.update(rust.environment(target, compilers.folder, settings.cache))
        variables.update(_pyo3_variables(toolchain))
        versions["rust"] = rust.version
        folders = (*folders, rust.bin)
    home = {compilers.home: "/usr"} if compilers.home else {}
    renamed = {**home, settings.cache: "/usr", compilers.folder: "/usr/bin"}
    return CrossEnvironment(variables, versions, folders, tuple(linked), renamed, _view(toolchain, rust))


def _link_variables(
    toolchain: Toolchain, libraries: Sequence[Library], runner: Runner, *, fortran: bool, cxx: bool
) -> Mapping[str, str]:
    """Return the variables by which compilers find libraries, and what they link last."""
    target, compilers = toolchain.target, toolchain.compilers
    links = bool(libraries or fortran or target.lacks_atomics)
    if not links and not (cxx and type_matching(compilers)):
        return {}
    compat = compat_archive(target, compilers, toolchain.settings.cache, runner)
    return link_environment(libraries, compat, compilers) if links else {"CROSSWHEEL_COMPAT": str(compat)}


def _view(toolchain: Toolchain, rust: Rust | None) -> View:
    """Return the files that a build's tools read, and the paths outside the build that they write to."""
    view = toolchain.compilers.view(toolchain.settings.cache)
    if rust is None:
        return view
    crates = cache_path(toolchain.settings.cache, "cargo")
    crates.mkdir(parents=True, exist_ok=True)
    return replace(view, readable=(*view.readable, rust.bin.parent), layered=(*view.layered, crates))


def _base_variables(toolchain: Toolchain) -> dict[str, str]:
    target, tools = toolchain.target, toolchain.compilers.folder
    return {
        **toolchain.compilers.variables,
        "PYTHONPATH": str(toolchain.identity),
        "PYTHONNOUSERSITE": "1",
        "_PYTHON_HOST_PLATFORM": f"linux-{target.machine}",
        "_PYTHON_SYSCONFIGDATA_NAME": target.python.sysconfigdata,
        # Autoconf's names, also read by Meson, for what a build compiles to run here: the usual names are the target's.
        "CC_FOR_BUILD": str(tools / "host-cc"),
        "CXX_FOR_BUILD": str(tools / "host-c++"),
        "LDSHARED": f"{tools / 'cc'} -shared",
        "LDCXXSHARED": f"{tools / 'c++'} -shared",
        # A C library inside a package is not tested here, by programs for the target: Automake's names of its tests.
        "MAKEFLAGS": "TESTS= check_PROGRAMS=",
        # An empty list of folders, because pkg-config must not find this machine's libraries.
        "PKG_CONFIG_LIBDIR": "",
        "PKG_CONFIG_PATH": "",
    }


def _pyo3_variables(toolchain: Toolchain) -> dict[str, str]:
    return {
        "PYO3_CROSS_LIB_DIR": str(toolchain.python.stdlib),
        "PYO3_CROSS_PYTHON_VERSION": toolchain.target.python.short,
    }
