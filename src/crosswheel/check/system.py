"""Determine what a target provides to the shared objects loaded there: its C library, Python, its image's libraries.

zig's lists give glibc's symbols for the target's version. For any other library a copy is read: the SDK's own, or
a newer system's without the versions above the target's. What no copy shows is unknown, which is not the same as
absent.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from packaging.version import Version

from crosswheel.check.elf_objects import UNVERSIONED, ElfObject, Exports, UnreadableObject, read_object
from crosswheel.errors import IntegrityError
from crosswheel.targets import Abi, Target
from crosswheel.toolchain.compilers.glibc import GlibcSymbol, first_versions, glibc_symbols
from crosswheel.toolchain.compilers.zig import zig_folder
from crosswheel.toolchain.python.tree import PythonTree

PYTHON_NAME = re.compile(r"_?Py[A-Z_]\w*")
_NUMBERED = re.compile(r"(?P<family>[A-Z][A-Z_]*)_(?P<number>\d+(?:\.\d+)*)")
# Versions of glibc's that stand for an ability of its dynamic loader, with the release that introduced them.
_ABILITIES = {"GLIBC_ABI_DT_RELR": "2.36"}
_LIBRARY_FOLDERS = ("lib", "usr/lib", "lib64", "usr/lib64")


@dataclass(frozen=True)
class SystemLibrary:
    """What is known about a library of the target.

    Attributes:
        exports: its known exports.
        needed: the libraries that it loads itself.
        whole: whether ``exports`` is complete.
    """

    exports: Exports = field(default_factory=Exports)
    needed: tuple[str, ...] = ()
    is_complete: bool = False


@dataclass(frozen=True)
class System:
    """A process of the target's Python, as the dynamic loader sees it.

    Attributes:
        python: the interpreter's exports to extension modules.
        loaded: the libraries that are loaded before any module, by soname.
        loader: the dynamic loader, which is in every process.
        libraries: what is known about the image's libraries, by soname.
        later: symbols that later glibcs added, each with its version there.
    """

    python: Exports
    loaded: frozenset[str]
    loader: str | None
    libraries: Mapping[str, SystemLibrary]
    later: Mapping[str, str]

    def library(self, soname: str) -> SystemLibrary:
        """Return what is known about a library, which may be nothing."""
        return self.libraries.get(soname, SystemLibrary())

    def reached(self, sonames: Iterable[str]) -> frozenset[str]:
        """Return these libraries and their dependencies."""
        return closure(sonames, self.libraries)


def system_of(
    target: Target, python: PythonTree, userland: Path | None, sysroot: Path | None = None
) -> System:
    """Determine what a target provides.

    Args:
        python: its Python.
        userland: a folder with libraries of another system for the same machine, perhaps a newer one.
        sysroot: the SDK's folder of the target's own libraries.

    Raises:
        IntegrityError: its Python cannot be read as ELF.
        ToolchainError: zig's lists cannot be read.
    """
    exporters = [_read(path) for path in python.exporters]
    return described(
        target,
        python=(name for exporter in exporters for name in exporter.exports.symbols),
        needed=(library for exporter in exporters for library in exporter.needed),
        copies={**copies_in(userland, target, exact=False), **copies_in(sysroot, target, exact=True)},
    )


def described(
    target: Target, *, python: Iterable[str], needed: Iterable[str], copies: Mapping[str, SystemLibrary]
) -> System:
    """Assemble a target's system from what is known about its parts.

    Args:
        python: the names that its interpreter exports.
        needed: the libraries that its interpreter needs.
        copies: what is known about libraries other than glibc's.
    """
    # The target's Python may lack other symbols that this build's bundled libraries happen to export.
    names = {name: frozenset({UNVERSIONED}) for name in python if PYTHON_NAME.fullmatch(name)}
    interpreter = SystemLibrary(Exports(names), is_complete=True)
    symbols = glibc_symbols(zig_folder(), target.toolchain.zig)
    loader = posixpath.basename(target.loader) if target.loader else None
    by_versions = {
        soname: SystemLibrary(Exports(nodes=frozenset(nodes)))
        for soname, nodes in target.image.versions.items()
    }
    libraries = {
        **by_versions,
        **copies,
        **{soname: interpreter for soname in target.image.libraries if soname.startswith("libpython")},
        **_glibc(symbols, target, loader),
    }
    first = first_versions(symbols)
    return System(
        python=interpreter.exports,
        loaded=closure(needed, libraries) & frozenset(target.image.libraries),
        loader=loader,
        libraries=libraries,
        later={name: v for name, v in first.items() if Version(v) > target.abi.glibc_version},
    )


def exceeds(node: str, abi: Abi) -> bool | None:
    """Return whether a version is above the target's limit; ``None`` if its family has no limit."""
    if node in _ABILITIES:
        return abi.glibc_version < Version(_ABILITIES[node])
    family = family_of(node, abi)
    if family is None:
        return None
    match = _NUMBERED.fullmatch(node)
    if match and match["family"] == family:
        return Version(match["number"]) > Version(limits(abi)[family])
    # GLIBC_PRIVATE changes with every glibc, and other abilities of its loader are newer than all targets.
    # Versions such as CXXABI_ARM_1.3.3 and CXXABI_TM_1 are older.
    return family == "GLIBC"


def limits(abi: Abi) -> Mapping[str, str]:
    """Return the newest version that the target has of each family; 0 if no library of it has such versions."""
    return {"GLIBC": str(abi.glibc_version), "GLIBCXX": abi.glibcxx, "CXXABI": abi.cxxabi, "GCC": abi.gcc}


def family_of(node: str, abi: Abi) -> str | None:
    """Return the limited family that a version belongs to: ``GLIBC`` for ``GLIBC_2.17``."""
    return next((family for family in limits(abi) if node.startswith(f"{family}_")), None)


def numbered(node: str) -> tuple[str, Version] | None:
    """Return the family and number of a version; ``None`` if it does not have that form."""
    match = _NUMBERED.fullmatch(node)
    return (match["family"], Version(match["number"])) if match else None


def _read(path: Path) -> ElfObject:
    try:
        return read_object(path.read_bytes())
    except UnreadableObject as error:
        raise IntegrityError(
            f"{path} cannot be read as ELF: {error}", hint="delete it and run again: it is fetched anew."
        ) from error


def _glibc(symbols: Iterable[GlibcSymbol], target: Target, loader: str | None) -> Mapping[str, SystemLibrary]:
    """Return the exports of the target's glibc, limited to the libraries that its image has."""
    offered: dict[str, dict[str, set[str]]] = {}
    for symbol in symbols:
        nodes_of_symbol = {f"GLIBC_{v}" for v in symbol.versions if Version(v) <= target.abi.glibc_version}
        if nodes_of_symbol:
            offered.setdefault(symbol.library, {}).setdefault(symbol.name, set()).update(nodes_of_symbol)
    libraries = {}
    for soname in target.image.libraries:
        name = "ld" if soname == loader else soname.partition(".so.")[0].removeprefix("lib")
        if name in offered:
            names = {
                symbol: frozenset({UNVERSIONED, *nodes_of_symbol})
                for symbol, nodes_of_symbol in offered[name].items()
            }
            nodes = frozenset().union(*offered[name].values(), _abilities(target.abi))
            libraries[soname] = SystemLibrary(Exports(names, nodes), is_complete=True)
    return libraries


def _abilities(abi: Abi) -> frozenset[str]:
    return frozenset(node for node in _ABILITIES if not exceeds(node, abi))


def copies_in(folder: Path | None, target: Target, *, exact: bool) -> Mapping[str, SystemLibrary]:
    """Return what copies of the image's libraries below a folder show.

    Args:
        exact: the copies are the target's own; otherwise only what versions reveal about the target's library counts.
    """
    if folder is None:
        return {}
    read: dict[str, ElfObject] = {}
    for soname in target.image.libraries:
        folders = [
            folder / name / subfolder for name in _LIBRARY_FOLDERS for subfolder in ("", target.multiarch)
        ]
        path = next((candidate / soname for candidate in folders if (candidate / soname).is_file()), None)
        if path:
            read[soname] = _read(path)
    is_complete = exact or _is_as_new(read.values(), target.abi)
    return {
        soname: _copy(elf.exports, elf.needed, soname, target, is_complete=is_complete)
        for soname, elf in read.items()
        if exact or _is_told(elf.exports, soname, target)
    }


def _is_told(exports: Exports, soname: str, target: Target) -> bool:
    """Return whether a newer library's versions reveal which symbols an older one has."""
    nodes = exports.nodes
    return soname in target.image.versions or (
        bool(nodes) and all(family_of(node, target.abi) is not None for node in nodes)
    )


def _copy(
    exports: Exports, needed: tuple[str, ...], soname: str, target: Target, *, is_complete: bool
) -> SystemLibrary:
    stated_nodes = target.image.versions.get(soname)
    kept = frozenset(
        node
        for node in exports.nodes
        if not exceeds(node, target.abi) and (not stated_nodes or node in stated_nodes)
    )
    symbols = {}
    for name, versions in exports.symbols.items():
        mine = versions & kept
        # An unversioned lookup finds the newest version; that of an older library differs.
        if mine or versions == {UNVERSIONED}:
            symbols[name] = versions if mine == versions - {UNVERSIONED} else mine | {UNVERSIONED}
    return SystemLibrary(Exports(symbols, kept), needed, is_complete)


def _is_as_new(objects: Iterable[ElfObject], abi: Abi) -> bool:
    """Return whether a system's libraries are at least as new as the target's, and so have all of its symbols."""
    newest: dict[str, Version] = {}
    for family, number in filter(None, (numbered(node) for item in objects for node in item.exports.nodes)):
        newest[family] = max(number, newest.get(family, number))
    as_new = (
        newest.get(family, Version("0")) >= Version(limits(abi)[family]) for family in ("GLIBC", "GLIBCXX")
    )
    return all(as_new)


def closure(sonames: Iterable[str], libraries: Mapping[str, SystemLibrary]) -> frozenset[str]:
    """Return these libraries and their known dependencies, direct and indirect."""
    reached: set[str] = set()
    pending = list(sonames)
    while pending:
        soname = pending.pop()
        if soname not in reached:
            reached.add(soname)
            pending += libraries[soname].needed if soname in libraries else ()
    return frozenset(reached)
