"""The ELF objects in a wheel against a target: would its dynamic loader take them?"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

from crosswheel.check.bundle import Bundle, below_origin
from crosswheel.check.fault import Fault
from crosswheel.check.objects import ElfObject, NeededVersion, UnreadableObject, read_object
from crosswheel.errors import IntegrityError
from crosswheel.targets import Target
from crosswheel.wheels.proof import AuditedObject
from crosswheel.wheels.reading import WheelFile

_NUMBERED = re.compile(r"(?P<prefix>[A-Z][A-Z_]*)_(?P<number>\d+(?:\.\d+)*)")
_LOADED = ("ET_DYN", "ET_EXEC")
# Where glibc takes a missing PT_GNU_STACK for a stack that need not be executable
# (DEFAULT_STACK_PERMS in its sysdeps/*/stackinfo.h); elsewhere, Arm and x86 included, it makes all
# stacks of the process executable, and newer ones refuse to load such an object.
_SAFE_WITHOUT_STACK_HEADER = frozenset({"EM_AARCH64", "EM_RISCV", "EM_LOONGARCH"})
_PYTHON_NAME = re.compile(r"_?Py[A-Z_]\w*")
_MOST_NAMES = 4  # how many symbols a message names


def audit(
    wheel: WheelFile, target: Target, python_symbols: frozenset[str]
) -> tuple[list[AuditedObject], list[Fault]]:
    """Examine every ELF object in a wheel: extension modules, bundled libraries, programs.

    Args:
        python_symbols: what the target's interpreter offers to extension modules
            (:func:`exported_symbols` of its program and its libpython).

    Returns:
        What each object needs, and the reasons why some would not load.

    Raises:
        IntegrityError: a member cannot be read.
    """
    objects, faults = _read_objects(wheel)
    judged = {
        member: found for member, found in objects.items() if not _carried(wheel, member, found, target)
    }
    bundle = Bundle.of(judged)
    for member, found in judged.items():
        faults += _judge(_Subject(member, found, target, bundle, python_symbols))
    return [_audited(member, found, bundle) for member, found in judged.items()], faults


def unstripped(wheel: WheelFile) -> list[str]:
    """Return the members that carry debug information, which no robot needs."""
    objects, _ = _read_objects(wheel)
    return [member for member, found in objects.items() if found.debug]


def exported_symbols(path: Path) -> frozenset[str]:
    """Return the names that a shared library or program offers to what is loaded with it.

    Raises:
        IntegrityError: it cannot be read as ELF.
    """
    try:
        return read_object(path.read_bytes()).defined
    except UnreadableObject as error:
        raise IntegrityError(
            f"{path} cannot be read as ELF: {error}",
            hint="delete it and run again: it is fetched anew.",
        ) from error


@dataclass(frozen=True)
class _Subject:
    """One object, and all that its verdict depends on."""

    member: str
    object: ElfObject
    target: Target
    bundle: Bundle
    python_symbols: frozenset[str]

    def fault(self, message: str, remedy: str) -> Fault:
        return Fault(self.member, message, remedy)


def _read_objects(wheel: WheelFile) -> tuple[dict[str, ElfObject], list[Fault]]:
    objects, faults = {}, []
    for member in wheel.elf_members:
        try:
            objects[member] = read_object(wheel.read(member))
        except UnreadableObject as error:
            faults.append(
                Fault(member, f"it cannot be read as ELF: {error}", "build it again, or take another release")
            )
    return objects, faults


def _carried(wheel: WheelFile, member: str, found: ElfObject, target: Target) -> bool:
    """Tell what is only carried along: a wheel for every platform may hold objects for several of them.

    A debugger's wheel does, for instance, and chooses when it runs. An extension module that the target
    would import is not such a thing.
    """
    modules = wheel.extension_modules(target).values()
    return wheel.is_pure and found.machine != target.abi.elf_machine and member not in modules


def _audited(member: str, found: ElfObject, bundle: Bundle) -> AuditedObject:
    newest: dict[str, Version] = {}
    for version in _system_versions(found, bundle):
        match = _NUMBERED.fullmatch(version.version)
        if match:
            number = Version(match["number"])
            newest[match["prefix"]] = max(number, newest.get(match["prefix"], number))
    return AuditedObject(
        file=member,
        needed=found.needed,
        newest={prefix: str(number) for prefix, number in sorted(newest.items())},
    )


def _judge(subject: _Subject) -> list[Fault]:
    stranger = list(_wrong_machine(subject))
    if stranger:
        return stranger  # whatever else it needs, it needs of another machine
    found = [*_wrong_float_abi(subject), *_text_relocations(subject), *_executable_stack(subject)]
    found += [*_new_versions(subject), *_missing_libraries(subject), *_foreign_paths(subject)]
    return [*found, *_missing_interpreter(subject), *_missing_symbols(subject)]


# --- the object itself ---


def _wrong_machine(subject: _Subject) -> Iterator[Fault]:
    found, abi = subject.object, subject.target.abi
    if (found.machine, found.bits, found.byte_order) != (abi.elf_machine, abi.bits, abi.byte_order):
        yield subject.fault(
            f"it is made for {found.machine} ({found.bits}-bit, {found.byte_order}-endian), and "
            f"{subject.target.title} is {abi.elf_machine} ({abi.bits}-bit, {abi.byte_order}-endian)",
            "the build used the host's compiler for it: let it take CC, CXX and LD from the environment",
        )


def _wrong_float_abi(subject: _Subject) -> Iterator[Fault]:
    found, wanted = subject.object.float_abi, subject.target.abi.float
    if "any" not in (found, wanted) and found != wanted:
        yield subject.fault(
            f"it passes floating-point arguments the {found}-float way, and {subject.target.title} the "
            f"{wanted}-float way",
            f"build it for {subject.target.multiarch}, and drop -mfloat-abi from its flags",
        )


def _text_relocations(subject: _Subject) -> Iterator[Fault]:
    if subject.object.text_relocations:
        yield subject.fault(
            "the loader would have to write to its code (DT_TEXTREL)",
            "compile all of it with -fPIC, static libraries that are linked in included",
        )


def _executable_stack(subject: _Subject) -> Iterator[Fault]:
    found = subject.object
    if found.kind not in _LOADED or found.executable_stack is False:
        return
    if found.executable_stack is None and found.machine in _SAFE_WITHOUT_STACK_HEADER:
        return
    yield subject.fault(
        "it asks for an executable stack"
        + ("" if found.executable_stack else " (it has no PT_GNU_STACK header, which means the same)"),
        "an assembler source in it lacks its .note.GNU-stack section: link with -Wl,-z,noexecstack",
    )


# --- what it needs of others ---


def _system_versions(found: ElfObject, bundle: Bundle) -> Iterator[NeededVersion]:
    """Symbol versions that the target's own libraries have to have; a bundled library has its own."""
    return (version for version in found.versions if not bundle.has(version.library))


def _new_versions(subject: _Subject) -> Iterator[Fault]:
    abi = subject.target.abi
    limits = {"GLIBC": abi.glibc, "GLIBCXX": abi.glibcxx, "CXXABI": abi.cxxabi, "GCC": abi.gcc}
    for version in _system_versions(subject.object, subject.bundle):
        if version.weak:
            continue  # the loader goes on without it, and the program asks whether the symbol is there
        wanted = f"it needs {version.version} of {version.library}"
        if version.symbols:
            wanted += f" (for {_enumerated(version.symbols)})"
        match = _NUMBERED.fullmatch(version.version)
        if match:
            limit = limits.get(match["prefix"])
            if limit is not None and Version(match["number"]) > Version(limit):
                yield subject.fault(
                    f"{wanted}, and {subject.target.title} has {match['prefix']}_{limit} at most",
                    "build it here, where such a symbol is not offered; if it was, a static library that is "
                    "linked in was made for a newer system: build that one from source as well",
                )
        elif version.version.startswith("GLIBC_"):
            # GLIBC_PRIVATE changes with every glibc; GLIBC_ABI_* stand for features newer than all targets.
            yield subject.fault(
                f"{wanted}, which fits one build of glibc alone, or newer ones",
                "build it here from source, without -z pack-relative-relocs",
            )


def _missing_libraries(subject: _Subject) -> Iterator[Fault]:
    for library in subject.object.needed:
        if library in subject.target.image.libraries or subject.bundle.finds(subject.member, library):
            continue
        if subject.bundle.has(library):
            yield subject.fault(
                f"it needs {library}, which the wheel brings along, but it does not look there",
                "link it with -Wl,-rpath,$ORIGIN/… and the way from its folder to that of the library",
            )
        else:
            yield subject.fault(
                f"it needs the library {library}, and neither {subject.target.title} nor the wheel has it",
                "link that library in statically (`libraries` in the recipe), or turn off what needs it",
            )


def _foreign_paths(subject: _Subject) -> Iterator[Fault]:
    for path in (*subject.object.rpath, *subject.object.runpath):
        if below_origin(path) is None:
            yield subject.fault(
                f"it looks for libraries in {path!r}, a folder of the machine that built it",
                "build it without -Wl,-rpath (CMake: CMAKE_SKIP_RPATH=ON)",
            )


def _missing_interpreter(subject: _Subject) -> Iterator[Fault]:
    loader = subject.object.interpreter
    if loader is not None and posixpath.basename(loader) not in subject.target.image.libraries:
        yield subject.fault(
            f"it is started by {loader}, which {subject.target.title} does not have",
            f"build it for {subject.target.multiarch}, or link it statically",
        )


def _missing_symbols(subject: _Subject) -> Iterator[Fault]:
    # Names of Python's alone: many sound wheels call log10 or dlopen without linking libm or libdl, because
    # every interpreter brings these along. A missing name of any other origin shows when the module is
    # imported: Python has the loader resolve all of them at once.
    # A program is a process of its own, without an interpreter in it.
    python = frozenset[str]() if subject.object.interpreter else subject.python_symbols
    wanted = frozenset(filter(_PYTHON_NAME.fullmatch, subject.object.undefined))
    missing = sorted(wanted - python - subject.bundle.defined)
    if missing:
        yield subject.fault(
            f"CPython {subject.target.python.version} does not offer {_enumerated(missing)}",
            "the code is made for a newer Python, or uses a name that was removed: lock another release",
        )


def _enumerated(names: Sequence[str]) -> str:
    named = ", ".join(names[:_MOST_NAMES])
    return f"{named} and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else named
