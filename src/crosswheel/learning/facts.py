"""Derive facts from a machine's files: its CPU architecture, its C library, the exports of its libraries."""

from __future__ import annotations

import io
import posixpath
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import ARMAttributesSection
from packaging.version import Version
from pydantic import BaseModel, ConfigDict

from crosswheel.check.elf_objects import ElfObject, UnreadableObject, read_object
from crosswheel.check.system import numbered
from crosswheel.errors import IntegrityError, TargetError
from crosswheel.userlands import Userland
from crosswheel.userlands.library_lookup import libraries

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_STABLE = re.compile(rb"GNU C Library [^\0\n]*release version (\d+\.\d+)")
_FAMILIES = ("GLIBC", "GLIBCXX", "CXXABI", "GCC")


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ElfKind(_Table):
    """The values in the ELF header of an architecture's programs; ``arm`` is the lowest ``Tag_CPU_arch``."""

    machine: str
    bits: Literal[32, 64]
    byte_order: Literal["little", "big"]
    float: Literal["hard", "soft", "any"]
    arm: int


class KindNames(_Table):
    """The names that kernels and distributions use for the architecture, and the size of its ``long double``."""

    machine: str
    multiarch: str
    debian: str
    long_double_bits: Literal[64, 80, 128]


class KindTools(_Table):
    """The names that each tool uses for the architecture."""

    zig: str
    cpu: str
    rust: str
    qemu: str
    qemu_cpu: str


class Kind(_Table):
    """A CPU architecture together with its floating-point calling convention."""

    elf: ElfKind
    names: KindNames
    tools: KindTools


@dataclass(frozen=True)
class LibraryFacts:
    """The facts from a machine's libraries.

    Attributes:
        kind: the CPU architecture.
        loader: the path of the dynamic loader.
        glibc: the version of the C library.
        newest: the newest symbol version of each family that ``[abi]`` limits, if any library has one.
        sonames: the libraries that the loader finds.
        versions: the symbol versions of each library that has versions outside these families.
        oldest_kernel: the oldest kernel that the C library supports; empty if it states none.
    """

    kind: Kind
    loader: str
    glibc: str
    newest: Mapping[str, str]
    sonames: tuple[str, ...]
    versions: Mapping[str, tuple[str, ...]]
    oldest_kernel: str


def library_facts(userland: Userland, python: str, title: str, names: Iterable[str] = ()) -> LibraryFacts:
    """Read the facts from a machine's libraries.

    Args:
        python: the path of its Python.
        names: libraries that the machine has, by name, but that were not copied.

    Raises:
        TargetError: crosswheel cannot build for such a machine.
        IntegrityError: a necessary file is missing or cannot be read.
    """
    program = _read(userland, python, title)
    if program.interpreter is None:
        raise IntegrityError(
            f"{python} of {title} is no program that a dynamic loader starts",
            hint="a shim of a version manager, perhaps: have /usr/bin/python3 lead to the Python itself.",
        )
    loader = program.interpreter
    _require_glibc(loader, userland, title)
    paths = libraries(userland, loader)
    if "libc.so.6" not in paths:
        raise IntegrityError(
            f"{title} has no libc.so.6", hint="it is half a root file system: name a whole one."
        )
    found = dict(_objects(userland, paths))
    libc = found["libc.so.6"]
    nodes = {node for item in found.values() for node in item.exports.nodes}
    return LibraryFacts(
        kind=_kind_of(program, libc, userland.path(paths["libc.so.6"]).read_bytes(), title),
        loader=loader,
        glibc=_glibc_version(userland.path(paths["libc.so.6"]).read_bytes(), libc, title),
        newest=_newest(nodes),
        sonames=tuple(sorted({posixpath.basename(loader), *found, *names})),
        versions={
            name: tuple(sorted(item.exports.nodes))
            for name, item in sorted(found.items())
            if any(not _is_limited(node) for node in item.exports.nodes)
        },
        oldest_kernel=libc.kernel or "",
    )


def kinds() -> tuple[Kind, ...]:
    """Return the known CPU architectures."""
    text = (resources.files("crosswheel.learning") / "architectures.toml").read_text()
    return tuple(Kind.model_validate(table) for table in tomllib.loads(text)["kind"])


def _require_glibc(loader: str, userland: Userland, title: str) -> None:
    name = posixpath.basename(loader)
    if name.startswith("ld-musl"):
        version = re.search(rb"\0(1\.\d+\.\d+)\0", userland.path(loader).read_bytes())
        raise TargetError(
            f"{title} has musl{f' {version[1].decode()}' if version else ''} as its C library",
            hint="crosswheel builds for glibc alone.",
        )
    if not name.startswith(("ld-", "ld.so", "ld64")) or not userland.has(loader):
        raise TargetError(
            f"{title} has not the dynamic loader {loader}, by which its Python is started",
            hint="it is no Linux with glibc, or half a root file system.",
        )


def _objects(userland: Userland, names: Mapping[str, str]) -> Iterable[tuple[str, ElfObject]]:
    """Yield libraries by the names under which others need them; nothing needs a name without a number."""
    for name, path in names.items():
        try:
            item = read_object(userland.path(path).read_bytes())
        except UnreadableObject:
            continue  # the loader would refuse it, too
        if item.soname in (None, name):
            yield name, item


def _read(userland: Userland, path: str, title: str) -> ElfObject:
    try:
        return read_object(userland.path(path).read_bytes())
    except UnreadableObject as error:
        raise IntegrityError(
            f"{path} of {title} is no ELF program: {error}",
            hint="a shim of a version manager, perhaps: have /usr/bin/python3 lead to the Python itself.",
        ) from error


def _kind_of(program: ElfObject, libc: ElfObject, data: bytes, title: str) -> Kind:
    arm = _arm_architecture(data)
    floats = libc.float_abi if libc.float_abi != "any" else program.float_abi
    for kind in kinds():
        elf = kind.elf
        header = (elf.machine, elf.bits, elf.byte_order, elf.float)
        if header == (program.machine, program.bits, program.byte_order, floats) and elf.arm <= arm:
            return kind
    raise TargetError(
        f"{title} is a kind of machine that is not known: {program.machine}, {program.bits}-bit, "
        f"{program.byte_order}-endian, {floats}-float",
        hint="write its target file by hand: see docs/targets.md.",
    )


def _arm_architecture(data: bytes) -> int:
    """Return ``Tag_CPU_arch`` of an object; 0 if it has none."""
    try:
        for section in ELFFile(io.BytesIO(data)).iter_sections():
            if isinstance(section, ARMAttributesSection):
                return max(_attributes(section), default=0)
    except (ELFError, AssertionError):  # the section header table is damaged or stripped
        pass
    return 0


def _attributes(section: Any) -> Iterable[int]:
    for subsection in section.iter_subsections("aeabi"):
        for part in subsection.iter_subsubsections("TAG_FILE"):
            for attribute in part.iter_attributes("TAG_CPU_ARCH"):
                yield int(attribute.value)


def _glibc_version(data: bytes, libc: ElfObject, title: str) -> str:
    stable = _STABLE.search(data)
    if stable:
        return stable[1].decode()
    newest = _newest(libc.exports.nodes).get("GLIBC")
    if newest is None:
        raise IntegrityError(
            f"the libc.so.6 of {title} does not tell its version", hint="it is no glibc, or was changed."
        )
    return newest


def _newest(nodes: Iterable[str]) -> Mapping[str, str]:
    newest: dict[str, Version] = {}
    for family, number in filter(None, map(numbered, nodes)):
        if family in _FAMILIES:
            newest[family] = max(number, newest.get(family, number))
    return {family: str(number) for family, number in newest.items()}


def _is_limited(node: str) -> bool:
    return node.startswith(tuple(f"{family}_" for family in _FAMILIES))
