"""Read ELF objects with pyelftools; other modules judge them."""

from __future__ import annotations

import io
import itertools
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeVar

from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerDefSection, GNUVerNeedSection, GNUVerSymSection
from elftools.elf.sections import ARMAttributesSection, Section, SymbolTableSection
from elftools.elf.segments import Segment

FloatAbi = Literal["hard", "soft", "any"]

_EF_ARM_ABI_FLOAT_SOFT = 0x200
_EF_ARM_ABI_FLOAT_HARD = 0x400
_DF_TEXTREL = 0x4
_DF_1_PIE = 0x08000000
_PF_X = 0x1
_SHN_UNDEF = 0
_STB_GLOBAL = 1
# An entry of a symbol table: the field that a name begins at, then the others, by the class of the object.
_SYMBOL_LAYOUTS = {32: "IIIBBH", 64: "IBBHQQ"}
_VER_FLG_BASE = 0x1
_VER_FLG_WEAK = 0x2
_VER_NDX_GLOBAL = 1  # a symbol with an index up to this one has no version
_VERSION_INDEX = 0x7FFF
_HIDDEN = 0x8000  # if set, only a lookup that names the version finds the symbol
_OLDEST_VERSION = 2  # the index of the first version that a library defines, which is never hidden
# Dynamic tags of relocations in formats that a loader must support; pyelftools names some of them.
_PACKED = {
    "DT_RELR": "DT_RELR", "DT_ANDROID_RELR": "DT_ANDROID_RELR", "DT_ANDROID_REL": "DT_ANDROID_REL",
    "DT_ANDROID_RELA": "DT_ANDROID_RELA", 0x40000014: "DT_CREL",
}  # fmt: skip
UNVERSIONED = ""
# Tag_ABI_VFP_args of the ABI for the Arm architecture: how floating-point arguments are passed.
_VFP_ARGS: dict[int, FloatAbi] = {0: "soft", 1: "hard", 3: "any"}
# Tables of real objects stay far below this limit; the counts in a damaged object could keep us busy for hours.
_MOST_ENTRIES = 1_000_000
_T = TypeVar("_T")


class UnreadableObject(Exception):
    """The bytes begin like an ELF object but are not one, or lack tables that a loader reads."""


@dataclass(frozen=True)
class NeededVersion:
    """A symbol version that a library must define, such as ``GLIBC_2.17`` of ``libc.so.6``.

    If ``weak``, the loader continues without it. ``symbols`` are the names that require this version.
    """

    library: str
    version: str
    weak: bool
    symbols: tuple[str, ...]


@dataclass(frozen=True)
class Symbol:
    """A symbol's name and required version; :data:`UNVERSIONED` if none is required."""

    name: str
    version: str = UNVERSIONED


@dataclass(frozen=True)
class Exports:
    """The symbols and versions that a library or program exports to the other objects of its process.

    Attributes:
        symbols: the versions of each name; includes :data:`UNVERSIONED` if an unversioned lookup finds the symbol.
        nodes: the versions that it defines, with symbols or without.
    """

    symbols: Mapping[str, frozenset[str]] = field(default_factory=dict)
    nodes: frozenset[str] = frozenset()

    def has(self, symbol: Symbol) -> bool:
        """Return whether the dynamic loader would find a symbol here."""
        versions = self.symbols.get(symbol.name, frozenset())
        # An object without versions satisfies lookups of any version.
        return symbol.version in versions or versions == {UNVERSIONED}


@dataclass(frozen=True)
class ElfObject:
    """The properties of an ELF object that decide where it loads.

    Attributes:
        kind: ``e_type``, such as ``ET_DYN``.
        machine: ``e_machine``, such as ``EM_ARM``.
        float_abi: how floating-point arguments are passed; ``any`` if the architecture has one way only, or if
            the object works with each.
        needed, rpath, runpath, soname: ``DT_NEEDED``, ``DT_RPATH`` and ``DT_RUNPATH`` (entry by entry),
            ``DT_SONAME``.
        interpreter: the dynamic loader of a program (``PT_INTERP``).
        program: whether it is a program; other objects load a library.
        executable_stack: the flag in ``PT_GNU_STACK``; ``None`` without that segment.
        text_relocations: whether the loader has to write to its code.
        packed_relocations: the dynamic tags of relocation formats that older loaders ignore.
        os_abi: the operating system ABI (``EI_OSABI``), such as ``ELFOSABI_SYSV``.
        kernel: the oldest Linux that its ABI note accepts; ``None`` without such a note.
        alignments: the alignments of its loaded segments.
        versions: the symbol versions that it needs.
        undefined: the symbols that it requires (strong references).
        exports: the symbols that it exports.
        debug: whether it has debug information.
    """

    kind: str
    machine: str
    bits: int
    byte_order: Literal["little", "big"]
    float_abi: FloatAbi
    needed: tuple[str, ...]
    rpath: tuple[str, ...]
    runpath: tuple[str, ...]
    soname: str | None
    interpreter: str | None
    program: bool
    executable_stack: bool | None
    text_relocations: bool
    packed_relocations: tuple[str, ...]
    os_abi: str
    kernel: str | None
    alignments: frozenset[int]
    versions: tuple[NeededVersion, ...]
    undefined: frozenset[Symbol]
    exports: Exports
    debug: bool


def read_object(data: bytes) -> ElfObject:
    """Read an ELF object.

    Raises:
        UnreadableObject: the object cannot be read; the message gives the reason.
    """
    try:
        return _read(ELFFile(io.BytesIO(data)))
    except UnreadableObject:
        raise
    # Bytes of unknown origin make pyelftools raise anything: its own errors, but also AssertionError, KeyError,
    # UnicodeDecodeError, MemoryError …
    except Exception as error:
        raise UnreadableObject(f"{type(error).__name__}: {error}" if str(error) else repr(error)) from error


def _read(elf: ELFFile) -> ElfObject:
    # Each is read once: pyelftools keeps none, and looks through all sections again for the dynamic segment.
    segments, sections = list(_bounded(elf.iter_segments())), list(_bounded(elf.iter_sections()))
    tags = _dynamic_tags(segments)
    tables = _tables(elf, sections, tags)
    versions = dict(_needed_versions(tables))
    interpreter = next((part.get_interp_name() for part in _of_kind(segments, "PT_INTERP")), None)
    return ElfObject(
        kind=str(elf["e_type"]),
        machine=str(elf["e_machine"]),
        bits=elf.elfclass,
        byte_order="little" if elf.little_endian else "big",
        float_abi=_float_abi(elf, sections),
        needed=tuple(tag.needed for tag in tags if tag["d_tag"] == "DT_NEEDED"),
        rpath=tuple(path for tag in tags if tag["d_tag"] == "DT_RPATH" for path in tag.rpath.split(":")),
        runpath=tuple(
            path for tag in tags if tag["d_tag"] == "DT_RUNPATH" for path in tag.runpath.split(":")
        ),
        soname=next((tag.soname for tag in tags if tag["d_tag"] == "DT_SONAME"), None),
        interpreter=interpreter,
        program=interpreter is not None
        or elf["e_type"] != "ET_DYN"
        or any(tag["d_tag"] == "DT_FLAGS_1" and tag["d_val"] & _DF_1_PIE for tag in tags),
        executable_stack=_executable_stack(segments),
        text_relocations=any(
            tag["d_tag"] == "DT_TEXTREL" or (tag["d_tag"] == "DT_FLAGS" and tag["d_val"] & _DF_TEXTREL)
            for tag in tags
        ),
        packed_relocations=tuple(_PACKED[tag["d_tag"]] for tag in tags if tag["d_tag"] in _PACKED),
        os_abi=str(elf["e_ident"]["EI_OSABI"]),
        kernel=_oldest_kernel(segments),
        alignments=frozenset(segment["p_align"] for segment in _of_kind(segments, "PT_LOAD")),
        versions=tuple(versions.values()),
        undefined=frozenset(_undefined(tables, versions)),
        exports=_exports(tables),
        debug=any(section.name in (".debug_info", ".zdebug_info") for section in sections),
    )


def _bounded(entries: Iterable[_T]) -> Iterator[_T]:
    for number, entry in enumerate(entries):
        if number == _MOST_ENTRIES:
            raise UnreadableObject(f"a table claims more than {_MOST_ENTRIES} entries")
        yield entry


def _of_kind(segments: Iterable[Segment], kind: str) -> Iterator[Any]:
    return (segment for segment in segments if segment["p_type"] == kind)


def _dynamic_tags(segments: Iterable[Segment]) -> list[Any]:
    # Use the segment, not the section that covers the same bytes: the loader reads segments only.
    return [tag for segment in _of_kind(segments, "PT_DYNAMIC") for tag in _bounded(segment.iter_tags())]


def _executable_stack(segments: Iterable[Segment]) -> bool | None:
    flags = [segment["p_flags"] for segment in _of_kind(segments, "PT_GNU_STACK")]
    return bool(flags[0] & _PF_X) if flags else None


def _oldest_kernel(segments: Iterable[Segment]) -> str | None:
    for segment in _of_kind(segments, "PT_NOTE"):
        for note in _bounded(segment.iter_notes()):
            if note["n_type"] == "NT_GNU_ABI_TAG" and note["n_desc"]["abi_os"] == "ELF_NOTE_OS_LINUX":
                return ".".join(str(note["n_desc"][f"abi_{part}"]) for part in ("major", "minor", "tiny"))
    return None


def _float_abi(elf: ELFFile, sections: Iterable[Section]) -> FloatAbi:
    if elf["e_machine"] != "EM_ARM":
        return "any"
    if elf["e_flags"] & _EF_ARM_ABI_FLOAT_HARD:
        return "hard"
    if elf["e_flags"] & _EF_ARM_ABI_FLOAT_SOFT:
        return "soft"
    # Older linkers set neither flag in a shared object; then the compiler's attributes tell.
    for section in sections:
        if isinstance(section, ARMAttributesSection):
            return _VFP_ARGS.get(_vfp_args(section), "soft")
    return "any"


def _vfp_args(section: ARMAttributesSection) -> int:
    for subsection in _bounded(section.iter_subsections("aeabi")):
        for part in _bounded(subsection.iter_subsubsections("TAG_FILE")):
            for attribute in _bounded(part.iter_attributes("TAG_ABI_VFP_ARGS")):
                return int(attribute.value)
    return 0  # the ABI's default for an absent tag


class _DynamicSymbol(NamedTuple):
    """An entry of a dynamic symbol table: whether the object defines it, and whether others see it (its binding)."""

    name: str
    defined: bool
    binding: int


@dataclass(frozen=True)
class _Tables:
    """The dynamic symbols, the version index of each, and the versions defined and needed of other libraries."""

    symbols: list[_DynamicSymbol]
    indices: list[int]
    verneed: GNUVerNeedSection | None
    verdef: GNUVerDefSection | None


def _tables(elf: ELFFile, sections: Iterable[Section], tags: list[Any]) -> _Tables:
    symbols: list[_DynamicSymbol] = []
    indices: list[int] = []
    verneed = verdef = None
    for section in sections:
        if isinstance(section, SymbolTableSection) and section["sh_type"] == "SHT_DYNSYM":
            symbols = list(_bounded(_symbols(elf, section)))
        elif isinstance(section, GNUVerSymSection):
            order = "<H" if elf.little_endian else ">H"
            indices = [index for (index,) in struct.iter_unpack(order, section.data())]
        elif isinstance(section, GNUVerNeedSection):
            verneed = section
        elif isinstance(section, GNUVerDefSection):
            verdef = section
    stated_tags = {tag["d_tag"] for tag in tags}
    # A loader finds these tables through the dynamic tags, pyelftools through section headers. An object without
    # section headers would load, but could not be checked here.
    hidden = {"DT_SYMTAB": not symbols, "DT_VERNEED": verneed is None, "DT_VERDEF": verdef is None}
    if any(tag in stated_tags and missing for tag, missing in hidden.items()):
        raise UnreadableObject("its section headers were removed, so its symbols cannot be examined")
    return _Tables(symbols, indices, verneed, verdef)


def _symbols(elf: ELFFile, section: SymbolTableSection) -> Iterator[_DynamicSymbol]:
    """Yield the entries of a symbol table; pyelftools, which parses field by field, takes seconds for a large one."""
    layout = struct.Struct(("<" if elf.little_endian else ">") + _SYMBOL_LAYOUTS[elf.elfclass])
    strings = _bytes_of(section.stringtable)
    for entry in layout.iter_unpack(_bytes_of(section)):
        start, info, index = (
            (entry[0], entry[3], entry[5]) if elf.elfclass == 32 else (entry[0], entry[1], entry[3])
        )
        name = strings[start : strings.index(b"\0", start)]
        yield _DynamicSymbol(name.decode(errors="replace"), index != _SHN_UNDEF, info >> 4)


def _bytes_of(section: Section) -> bytes:
    """Return the bytes of a section as they lie in the file."""
    section.stream.seek(section["sh_offset"])
    data: bytes = section.stream.read(section["sh_size"])
    if len(data) < section["sh_size"]:
        raise UnreadableObject(f"its section {section.name} ends after the end of the file")
    return data


def _needed_versions(tables: _Tables) -> Iterator[tuple[int, NeededVersion]]:
    """Yield each version that the object needs of a library, and the index by which its symbols refer to it."""
    if tables.verneed is None:
        return
    users: dict[int, list[str]] = {}
    for symbol, index in zip(tables.symbols, tables.indices):
        users.setdefault(index & _VERSION_INDEX, []).append(symbol.name)
    for library, versions in _bounded(tables.verneed.iter_versions()):
        for version in _bounded(versions):
            index = version["vna_other"] & _VERSION_INDEX
            yield (
                index,
                NeededVersion(
                    library=str(library.name),
                    version=version.name,
                    weak=bool(version["vna_flags"] & _VER_FLG_WEAK),
                    symbols=tuple(sorted(users.get(index, ()))),
                ),
            )


def _undefined(tables: _Tables, versions: Mapping[int, NeededVersion]) -> Iterator[Symbol]:
    indices = tables.indices or itertools.repeat(_VER_NDX_GLOBAL)
    for symbol, index in zip(tables.symbols, indices):
        if symbol.name and not symbol.defined and symbol.binding == _STB_GLOBAL:
            version = versions.get(index & _VERSION_INDEX)
            yield Symbol(symbol.name, version.version if version else UNVERSIONED)


def _exports(tables: _Tables) -> Exports:
    nodes = dict(_defined_versions(tables))
    symbols: dict[str, set[str]] = {}
    for symbol, index in zip(tables.symbols, tables.indices or itertools.repeat(_VER_NDX_GLOBAL)):
        # Local entries of a dynamic symbol table are section symbols without a name.
        if symbol.name and symbol.defined:
            versions_of_name = symbols.setdefault(symbol.name, set())
            number = index & _VERSION_INDEX
            if number in nodes:
                versions_of_name.add(nodes[number])
            if not index & _HIDDEN or number <= _OLDEST_VERSION:
                versions_of_name.add(UNVERSIONED)
    return Exports(
        {name: frozenset(versions_of_name) for name, versions_of_name in symbols.items()},
        frozenset(nodes.values()),
    )


def _defined_versions(tables: _Tables) -> Iterator[tuple[int, str]]:
    """Yield the index and name of each version that the object defines; its first entry is its own name."""
    if tables.verdef is None:
        return
    for version, names in _bounded(tables.verdef.iter_versions()):
        name = next(iter(names)).name
        if not version["vd_flags"] & _VER_FLG_BASE:
            yield version["vd_ndx"], name
