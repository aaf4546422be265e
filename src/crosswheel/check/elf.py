"""Check whether the target's dynamic loader would load the ELF objects in a wheel."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.version import Version

from crosswheel.check.bundled import Bundle, below_origin
from crosswheel.check.elf_objects import ElfObject, UnreadableObject, read_object
from crosswheel.check.fault import Fault
from crosswheel.check.symbols import Subject, Verdict, judge_names, system_versions
from crosswheel.check.system import System, numbered
from crosswheel.targets import Target
from crosswheel.userlands.library_lookup import is_in_loader
from crosswheel.wheels.proof import AuditedObject
from crosswheel.wheels.reading import WheelFile

_LOADED = ("ET_DYN", "ET_EXEC")
# Architectures for which glibc assumes a non-executable stack if PT_GNU_STACK is missing (DEFAULT_STACK_PERMS in
# its sysdeps/*/stackinfo.h). Elsewhere, Arm and x86 included, it makes all stacks of the process executable; newer
# versions refuse to load such an object.
_SAFE_WITHOUT_STACK_HEADER = frozenset({"EM_AARCH64", "EM_RISCV", "EM_LOONGARCH"})
# The C libraries whose loaders know DT_RELR, with the release that introduced it.
_WITH_RELR = {"glibc": Version("2.36"), "musl": Version("1.2.4")}
# What glibc's loaders accept, older ones included (VALID_ELF_OSABI in its sources).
_OS_ABIS = ("ELFOSABI_SYSV", "ELFOSABI_LINUX", "ELFOSABI_ARM_AEABI")


def audit(wheel: WheelFile, target: Target, system: System) -> tuple[list[AuditedObject], list[Fault]]:
    """Examine every ELF object in a wheel: extension modules, bundled libraries, programs.

    Args:
        system: the libraries and symbols that the target provides.

    Returns:
        The requirements of each object, and the reasons why some would not load.

    Raises:
        IntegrityError: a member cannot be read.
    """
    objects, faults = _read_objects(wheel)
    judged = {member: elf for member, elf in objects.items() if not _carried(wheel, member, elf, target)}
    bundle = Bundle.of(judged)
    audited = []
    for member, elf in judged.items():
        verdict = _judge(Subject(member, elf, target, bundle, system))
        faults += verdict.faults
        audited.append(_audited(member, elf, bundle, verdict))
    return audited, faults


def unstripped(wheel: WheelFile) -> list[str]:
    """Return the members with debug information, which no robot needs."""
    objects, _ = _read_objects(wheel)
    return [member for member, elf in objects.items() if elf.debug]


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


def _carried(wheel: WheelFile, member: str, elf: ElfObject, target: Target) -> bool:
    """Return whether an object for another platform is in the wheel on purpose.

    A wheel for every platform may hold objects for several and choose one at run time, as a debugger's wheel does.
    An extension module that the target would import does not count.
    """
    modules = wheel.extension_modules(target).values()
    return wheel.is_pure and elf.machine != target.abi.elf_machine and member not in modules


def _audited(member: str, elf: ElfObject, bundle: Bundle, verdict: Verdict) -> AuditedObject:
    newest: dict[str, Version] = {}
    for family, number in filter(None, (numbered(v.version) for v in system_versions(elf, bundle))):
        newest[family] = max(number, newest.get(family, number))
    return AuditedObject(
        file=member,
        needed=elf.needed,
        newest={family: str(number) for family, number in sorted(newest.items())},
        unproven=verdict.unproven,
        opened=verdict.loads_alone and not elf.program,
    )


def _judge(subject: Subject) -> Verdict:
    stranger = tuple(_wrong_machine(subject))
    if stranger:
        return Verdict(stranger)  # its other requirements are those of another machine
    names = judge_names(subject)
    faults = [*_wrong_float_abi(subject), *_text_relocations(subject), *_executable_stack(subject)]
    faults += [*_not_for_this_loader(subject), *_not_for_this_kernel(subject), *_wrong_alignment(subject)]
    faults += [*names.faults, *_missing_libraries(subject), *_foreign_paths(subject)]
    return Verdict((*faults, *_missing_interpreter(subject)), names.unproven, names.loads_alone)


# --- the object itself ---


def _wrong_machine(subject: Subject) -> Iterator[Fault]:
    elf, abi = subject.object, subject.target.abi
    if (elf.machine, elf.bits, elf.byte_order) != (abi.elf_machine, abi.bits, abi.byte_order):
        yield subject.fault(
            f"it is made for {elf.machine} ({elf.bits}-bit, {elf.byte_order}-endian), and "
            f"{subject.target.title} is {abi.elf_machine} ({abi.bits}-bit, {abi.byte_order}-endian)",
            "the build used the host's compiler for it: let it take CC, CXX and LD from the environment",
        )


def _wrong_float_abi(subject: Subject) -> Iterator[Fault]:
    passed, expected = subject.object.float_abi, subject.target.abi.float
    if "any" not in (passed, expected) and passed != expected:
        yield subject.fault(
            f"it passes floating-point arguments the {passed}-float way, and {subject.target.title} the "
            f"{expected}-float way",
            f"build it for {subject.target.multiarch}, and drop -mfloat-abi from its flags",
        )


def _text_relocations(subject: Subject) -> Iterator[Fault]:
    if subject.object.text_relocations:
        yield subject.fault(
            "the loader would have to write to its code (DT_TEXTREL)",
            "compile all of it with -fPIC, static libraries that are linked in included",
        )


def _executable_stack(subject: Subject) -> Iterator[Fault]:
    elf = subject.object
    if elf.kind not in _LOADED or elf.executable_stack is False:
        return
    if elf.executable_stack is None and elf.machine in _SAFE_WITHOUT_STACK_HEADER:
        return
    yield subject.fault(
        "it asks for an executable stack"
        + ("" if elf.executable_stack else " (it has no PT_GNU_STACK header, which means the same)"),
        "an assembler source in it lacks its .note.GNU-stack section: link with -Wl,-z,noexecstack",
    )


def _not_for_this_loader(subject: Subject) -> Iterator[Fault]:
    elf, abi = subject.object, subject.target.abi
    libc, version = abi.libc.split()
    understood = {"DT_RELR"} if Version(version) >= _WITH_RELR[libc] else set()
    for tag in elf.packed_relocations:
        if tag not in understood:
            yield subject.fault(
                f"its relocations are packed ({tag}), which the dynamic loader of {abi.libc} passes over: its "
                "pointers would lead nowhere",
                "link it without -z pack-relative-relocs and --pack-dyn-relocs",
            )
    if elf.os_abi not in _OS_ABIS:
        yield subject.fault(
            f"it is made for another operating system ({elf.os_abi})",
            f"build it for {subject.target.multiarch}",
        )


def _not_for_this_kernel(subject: Subject) -> Iterator[Fault]:
    needed, kernel = subject.object.kernel, subject.target.kernel_version
    if needed is not None and Version(needed) > kernel:
        yield subject.fault(
            f"it says of itself that it needs Linux {needed} (NT_GNU_ABI_TAG), and {subject.target.title} has {kernel}",
            "build it here; or, where its code copes with an older kernel, strip the note: "
            "objcopy --remove-section=.note.ABI-tag",
        )


def _wrong_alignment(subject: Subject) -> Iterator[Fault]:
    page = subject.target.abi.page_bytes
    misaligned = [alignment for alignment in subject.object.alignments if alignment % page]
    if misaligned and subject.object.kind == "ET_DYN" and subject.object.interpreter is None:
        yield subject.fault(
            f"its segments are aligned to {min(misaligned)} bytes, and a page of {subject.target.title} has {page}",
            f"link it with -z max-page-size={page}, or a larger page",
        )


# --- what it needs of others ---


def _missing_libraries(subject: Subject) -> Iterator[Fault]:
    for library in subject.object.needed:
        if _has_library(subject.target, library) or subject.bundle.finds(subject.member, library):
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


def _has_library(target: Target, library: str) -> bool:
    return library in target.image.libraries or is_in_loader(library, target.loader or "")


def _foreign_paths(subject: Subject) -> Iterator[Fault]:
    for path in (*subject.object.rpath, *subject.object.runpath):
        if below_origin(path) is None:
            yield subject.fault(
                f"it looks for libraries in {path!r}, a folder of the machine that built it",
                "build it without -Wl,-rpath (CMake: CMAKE_SKIP_RPATH=ON)",
            )


def _missing_interpreter(subject: Subject) -> Iterator[Fault]:
    loader, expected = subject.object.interpreter, subject.target.loader
    if loader is not None and loader != expected:
        yield subject.fault(
            f"it is started by {loader}, and {subject.target.title} has {expected or 'no dynamic loader'}",
            f"build it for {subject.target.multiarch}, or link it statically",
        )
