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
from crosswheel.learning.selection import Selection
from crosswheel.userlands import Userland
from crosswheel.userlands.library_lookup import is_in_loader, libraries

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_STABLE = re.compile(rb"GNU C Library [^\0\n]*release version (\d+\.\d+)")
_MUSL_VERSION = re.compile(rb"\0(1\.\d+\.\d+)\0")
_MUSL_LIBC = "libc.so"  # what programs for musl are linked to; its loader is that itself
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
    """The names that kernels and distributions use for the architecture, and the size of its ``long double``.

    ``kernel`` is the oldest release of Linux that is compiled for.
    """

    machine: str
    multiarch: str
    debian: str
    long_double_bits: Literal[64, 80, 128]
    kernel: str = "3.2"


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

    @property
    def with_musl(self) -> Kind:
        """The same architecture with musl as its C library, which every tool's name for it tells."""
        names, tools = self.names, self.tools
        return Kind(
            elf=self.elf,
            names=names.model_copy(update={"multiarch": _named_for_musl(names.multiarch)}),
            tools=tools.model_copy(
                update={"zig": _named_for_musl(tools.zig), "rust": _named_for_musl(tools.rust)}
            ),
        )


def _named_for_musl(triple: str) -> str:
    return triple.replace("gnu", "musl")


@dataclass(frozen=True)
class LibraryFacts:
    """The facts from a machine's libraries.

    Attributes:
        kind: the CPU architecture.
        loader: the path of the dynamic loader.
        glibc, musl: the version of the C library; one of them is empty.
        newest: the newest symbol version of each family that ``[abi]`` limits, if any library has one.
        sonames: the libraries that the loader finds.
        versions: the symbol versions of each library that has versions outside these families.
        oldest_kernel: the oldest kernel that the C library and the compiler support.
    """

    kind: Kind
    loader: str
    glibc: str
    newest: Mapping[str, str]
    sonames: tuple[str, ...]
    versions: Mapping[str, tuple[str, ...]]
    oldest_kernel: str
    musl: str = ""


def library_facts(
    userland: Userland, selection: Selection, title: str, names: Iterable[str] = ()
) -> LibraryFacts:
    """Read the facts from a machine's libraries.

    Args:
        selection: what was taken of the machine; its Python names the dynamic loader.
        names: libraries that the machine has, by name, but that were not copied.

    Raises:
        TargetError: crosswheel cannot build for such a machine.
        IntegrityError: a necessary file is missing or cannot be read.
    """
    program = _program(userland, selection.python, title) if selection.python else None
    loader = (program and program.interpreter) or selection.loader or ""
    _require_loader(loader, userland, title)
    paths, is_musl = libraries(userland, loader), is_in_loader(_MUSL_LIBC, loader)
    libc_path = loader if is_musl else paths.get("libc.so.6")
    if libc_path is None:
        raise IntegrityError(
            f"{title} has no libc.so.6", hint="it is half a root file system: name a whole one."
        )
    found = dict(_objects(userland, paths))
    libc = found.get("libc.so.6") or _read(userland, libc_path, title)
    data = userland.path(libc_path).read_bytes()
    nodes = {node for item in found.values() for node in item.exports.nodes}
    kind = _kind_of(program or libc, libc, data, title)
    return LibraryFacts(
        kind=kind.with_musl if is_musl else kind,
        loader=loader,
        glibc="" if is_musl else _glibc_version(data, libc, title),
        musl=_musl_version(data, title) if is_musl else "",
        newest=_newest(nodes),
        sonames=tuple(
            sorted({posixpath.basename(loader), *found, *names, *([_MUSL_LIBC] if is_musl else [])})
        ),
        versions={
            name: tuple(sorted(item.exports.nodes))
            for name, item in sorted(found.items())
            if any(not _is_limited(node) for node in item.exports.nodes)
        },
        oldest_kernel=max(libc.kernel or "0", kind.names.kernel, key=Version),
    )


def kinds() -> tuple[Kind, ...]:
    """Return the known CPU architectures."""
    text = (resources.files("crosswheel.learning") / "architectures.toml").read_text()
    return tuple(Kind.model_validate(table) for table in tomllib.loads(text)["kind"])


def _program(userland: Userland, python: str, title: str) -> ElfObject:
    """Return a machine's Python, which names its dynamic loader."""
    program = _read(userland, python, title)
    if program.interpreter is None:
        raise IntegrityError(
            f"{python} of {title} is no program that a dynamic loader starts",
            hint="a shim of a version manager, perhaps: have /usr/bin/python3 lead to the Python itself.",
        )
    return program


def _require_loader(loader: str, userland: Userland, title: str) -> None:
    name = posixpath.basename(loader)
    if not name.startswith(("ld-", "ld.so", "ld64")) or not userland.has(loader):
        raise TargetError(
            f"{title} has not the dynamic loader {loader or 'of a Linux'}, by which its programs are started",
            hint="it is no Linux with glibc or musl, or half a root file system.",
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


def _musl_version(data: bytes, title: str) -> str:
    version = _MUSL_VERSION.search(data)
    if version is None:
        raise IntegrityError(
            f"the C library of {title} does not tell its version", hint="it is no musl, or was changed."
        )
    return version[1].decode()


def _newest(nodes: Iterable[str]) -> Mapping[str, str]:
    newest: dict[str, Version] = {}
    for family, number in filter(None, map(numbered, nodes)):
        if family in _FAMILIES:
            newest[family] = max(number, newest.get(family, number))
    return {family: str(number) for family, number in newest.items()}


def _is_limited(node: str) -> bool:
    return node.startswith(tuple(f"{family}_" for family in _FAMILIES))
