"""Make the copy of a target's Python that runs under emulation: with all of its standard library, and its bytecode.

Modules that the emulated build lacks are compiled for the target from CPython's own sources. Wheels are compiled
against the original Python, so nothing of this gets into them.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from crosswheel.cached import CachedFolder, cache_path, cached_folder
from crosswheel.debian import Debian
from crosswheel.errors import CrosswheelError, Interrupted, ToolchainError
from crosswheel.files import digest_of, place_link
from crosswheel.process import Runner, Word
from crosswheel.registry import Registry
from crosswheel.settings import Settings
from crosswheel.sources.archive import unpack
from crosswheel.targets import Target
from crosswheel.toolchain.compilers.zig import zig_compilers
from crosswheel.toolchain.libraries.builds import Workshop
from crosswheel.toolchain.libraries.linking import (
    compat_archive,
    compat_inputs,
    known_libraries,
    library,
    link_environment,
)
from crosswheel.toolchain.python import bytecode
from crosswheel.toolchain.python.choosing import has_host, host_python
from crosswheel.toolchain.python.tree import PythonTree


@dataclass(frozen=True)
class ExtensionModule:
    """A standard library module that may be missing.

    Attributes:
        folder: its folder in the source.
        sources: the files to compile, in that folder.
        library: the C library that it uses, by its name in libraries.toml; ``link`` is its name for the linker.
        package: a release on the registry with its source, and the hash of the sdist.
        debian: otherwise, Debian's source package with its source.
    """

    name: str
    folder: str
    sources: str
    library: str
    link: str
    options: tuple[str, ...] = ()
    package: tuple[str, str, str] | None = None
    debian: str = ""


_PYTHONS = ("3.10", "3.11")  # the versions that these sources fit
MODULES = (
    ExtensionModule(
        "_sqlite3",
        "src",
        "*.c",
        "sqlite",
        "sqlite3",
        # The release is CPython's own module, which takes its name from the build.
        options=('-DMODULE_NAME="sqlite3"',),
        package=("pysqlite3", "0.5.4", "fbc69bfdc0cb43a5badd5403b126d5151371b5037e0397ba9802bb440c5b0021"),
    ),
    ExtensionModule(
        "_lzma",
        "Modules",
        "_lzmamodule.c",
        "xz",
        "lzma",
        options=(
            "-D_PyCFunction_CAST(function)=((PyCFunction)(void (*)(void))(function))",
        ),  # not in 3.10's headers
        debian="python3.11",
    ),
)


def completed(
    python: PythonTree, target: Target, settings: Settings, runner: Runner
) -> tuple[PythonTree, Mapping[str, CrosswheelError]]:
    """Return a copy of a target's Python with its missing modules added; make the copy if needed.

    A module that cannot be compiled is left out, returned with the reason, and tried again next time. So are those of a
    version that the sources do not fit, without a reason.
    """
    if not python.runs:
        return python, {}
    known = MODULES if python.short in _PYTHONS else ()
    missing = [module for module in known if not _path_of(python, module, target).is_file()]
    compilers = zig_compilers(target, settings.cache)
    workshop = Workshop(target, compilers, Debian(target.toolchain.debian, settings, runner), needs=())
    compiled: list[Path] = []
    lacking: dict[str, CrosswheelError] = {}
    with ThreadPoolExecutor() as pool:
        compiling = {module.name: pool.submit(_compiled, module, python, workshop) for module in missing}
    for name, future in compiling.items():
        try:
            compiled.append(future.result())
        except Interrupted:
            raise
        except CrosswheelError as error:
            lacking[name] = error
    return _copy(python, compiled, target, settings, runner), lacking


def _copy(
    python: PythonTree, compiled: list[Path], target: Target, settings: Settings, runner: Runner
) -> PythonTree:
    """Return a copy of a Python with these modules and with bytecode."""
    pythons = cache_path(settings.cache, "python")
    made = [path.parent.name for path in compiled]
    digest = digest_of(python=os.path.relpath(python.root, pythons), made=made, bytecode=bytecode.WAY)
    folder = pythons / f"{digest}-completed"
    tree = PythonTree(folder, python.short)
    modules = [tree.stdlib / "lib-dynload" / path.name for path in compiled]

    def fill(temporary: Path) -> None:
        # Hard links where possible, because files in the cache are never modified.
        shutil.copytree(python.root, temporary, symlinks=True, dirs_exist_ok=True, copy_function=_placed)
        for path, module in zip(compiled, modules):
            _placed(path, temporary / module.relative_to(folder))
        if has_host(target):
            host = host_python(target, settings, runner)
            library = temporary / tree.stdlib.relative_to(folder)
            bytecode.compile_library(library, host.executable, runner)

    relative = [str(path.relative_to(folder)) for path in (tree.executable, *modules)]
    CachedFolder(folder, relative, is_sealed=True).make(fill)
    return tree


def _placed(source: str | Path, destination: str | Path) -> None:
    place_link(Path(source), Path(destination))


def _path_of(python: PythonTree, module: ExtensionModule, target: Target) -> Path:
    return python.stdlib / "lib-dynload" / f"{module.name}{target.extension_suffix}"


def _compiled(module: ExtensionModule, python: PythonTree, workshop: Workshop) -> Path:
    """Return a module; compile it if needed."""
    target, compilers, settings = workshop.target, workshop.compilers, workshop.debian.settings
    digest = digest_of(
        python=str(target.python.target),
        module=asdict(module),
        library=known_libraries()[module.library].inputs,
        compilers=compilers.identity,
        compat=compat_inputs(target, compilers),
    )
    name = _path_of(python, module, target).name

    def fill(temporary: Path) -> None:
        _compile(module, python, workshop, temporary / name)

    return cached_folder(settings.cache, "python", f"{digest}-{module.name}", fill, [name]) / name


def _compile(module: ExtensionModule, python: PythonTree, workshop: Workshop, path: Path) -> None:
    target, compilers, runner = workshop.target, workshop.compilers, workshop.runner
    settings = workshop.debian.settings
    linked = library(module.library, target, compilers, settings, runner)
    compat = compat_archive(target, compilers, settings.cache, runner)
    with tempfile.TemporaryDirectory(prefix="module") as name:
        archive, folder_part = _archive(module, workshop, Path(name)), f"/{module.folder}/"
        tree = unpack(archive, Path(name) / "unpack", is_selected=lambda member: folder_part in f"{member}/")
        include = (python.include, python.include / "internal", linked.prefix / "include")
        words: list[Word] = [
            "-shared",
            "-fPIC",
            "-O2",
            *module.options,
            *(f"-I{folder}" for folder in include),
        ]
        words += [
            *sorted((tree / module.folder).glob(module.sources)),
            f"-L{linked.prefix / 'lib'}",
            f"-l{module.link}",
        ]
        env = {**os.environ, **link_environment([linked], compat, compilers), **compilers.environment}
        runner.run([compilers.folder / "cc", *words, "-o", path], env=env)


def _archive(module: ExtensionModule, workshop: Workshop, folder: Path) -> Path:
    """Return the archive of a module's sources, with a verified hash."""
    if module.package is None:
        return workshop.debian.source(module.debian, folder)
    name, version, sha256 = module.package
    with Registry(workshop.debian.settings) as registry:
        files = registry.release_files(name, version)
        sdist = next((file for file in files if file.sha256 == sha256), None)
        if sdist is None:
            raise ToolchainError(
                f"the registry has no sdist of {name} {version} with the hash {sha256}",
                hint="name another registry in PIP_INDEX_URL; it is on the public one.",
            )
        return registry.fetch(sdist)
