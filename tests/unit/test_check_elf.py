"""Every object here was compiled and linked by the real tools; nothing imitates ELF."""

from __future__ import annotations

import functools
import struct
from collections.abc import Mapping
from pathlib import Path

import pytest

from crosswheel import targets
from crosswheel.check.elf import audit, unstripped
from crosswheel.check.fault import Fault
from crosswheel.check.system import System, copies_in, described, system_of
from crosswheel.errors import IntegrityError
from crosswheel.toolchain.python.tree import PythonTree
from crosswheel.wheels.proof import AuditedObject
from crosswheel.wheels.reading import WheelFile
from support.objects import Compiler
from support.wheels import make_wheel

OT2 = targets.load("ot2")
NATIVE = "cp310-cp310-manylinux_2_17_armv7l"
MODULE = "int PyInit_m(void) { return 0; }"
PYTHON = frozenset({"PyModule_Create2", "_Py_Dealloc"})
GLIBC_2_28_HASH = 0x06969188  # of the name, by the System V ABI's hash function


def target_for(machine: str, elf_machine: str, loader: str) -> targets.Target:
    """Return a target that differs from the OT-2 in nothing but its processor."""
    said = OT2.model_dump()
    said["machine"], said["multiarch"] = machine, f"{machine}-linux-gnu"
    said["toolchain"]["zig"] = f"{machine}-linux-gnu"
    said["python"]["soabi"] = f"cpython-310-{machine}-linux-gnu"
    said["abi"].update(elf_machine=elf_machine, bits=64, float="any")
    said["image"]["libraries"] = [loader, *OT2.image.libraries[1:]]
    return targets.Target.model_validate(said)


FLEX = target_for("aarch64", "EM_AARCH64", "ld-linux-aarch64.so.1")
PC = target_for("x86_64", "EM_X86_64", "ld-linux-x86-64.so.2")


@functools.cache
def system_for(name: str) -> System:
    """Return the system of a target of above; of other libraries than glibc's nothing is known."""
    target = {"armv7l": OT2, "aarch64": FLEX, "x86_64": PC}[name]
    return bare(target)


def bare(target: targets.Target) -> System:
    needed = ("libpthread.so.0", "libdl.so.2", "libutil.so.1", "libm.so.6", "libc.so.6")
    return described(target, python=PYTHON, needed=needed, copies={})


@pytest.fixture(scope="session")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> Compiler:
    return Compiler(tmp_path_factory.mktemp("zig"))


def audited(
    folder: Path,
    files: Mapping[str, bytes],
    *,
    target: targets.Target = OT2,
    tag: str = NATIVE,
    system: System | None = None,
) -> tuple[list[AuditedObject], list[Fault]]:
    system = system or (system_for(target.machine) if target in (OT2, FLEX, PC) else bare(target))
    return audit(WheelFile.open(make_wheel(folder, "pkg", "1.0", files, tag=tag)), target, system)


def faults(folder: Path, object_: bytes, target: targets.Target = OT2) -> list[Fault]:
    found = audited(folder, {"pkg/m.so": object_}, target=target)[1]
    assert all(fault.file == "pkg/m.so" and fault.remedy for fault in found)
    return found


def stub(compiler: Compiler, library: str, symbol: str, version: str = "") -> None:
    """Put a library with one symbol into the compiler's folder, for others to link against."""
    flags = ["-Wl,-soname," + library]
    if version:
        (compiler.folder / "versions").write_text(f"{version} {{ global: {symbol}; }};")
        flags.append("-Wl,--version-script=versions")
    compiler.shared(f"int {symbol}(void) {{ return 0; }}", *flags, name=library)


# --- what loads ---


def test_a_sound_module_has_no_fault_and_its_needs_are_told(compiler: Compiler, tmp_path: Path) -> None:
    source = "int close(int), PyModule_Create2(void);"
    source += "int PyInit_m(void) { return PyModule_Create2() + close(0); }"
    found, wrong = audited(tmp_path, {"pkg/m.so": compiler.shared(source, "-lc")})
    assert wrong == []
    assert found == [
        AuditedObject(file="pkg/m.so", needed=("libc.so.6",), newest={"GLIBC": "2.4"}, opened=True)
    ]


def test_any_processor_can_be_a_target(compiler: Compiler, tmp_path: Path) -> None:
    assert faults(tmp_path, compiler.shared(MODULE, target="aarch64-linux-gnu"), FLEX) == []
    assert faults(tmp_path, compiler.shared(MODULE, target="x86_64-linux-gnu"), PC) == []


def test_a_wheel_without_objects_passes(tmp_path: Path) -> None:
    assert audited(tmp_path, {"pkg/__init__.py": b""}, tag="py3-none-any") == ([], [])


# --- the object itself ---


def test_another_machine_is_the_only_fault_of_an_object_for_it(compiler: Compiler, tmp_path: Path) -> None:
    source = "int PyGone(void); int PyInit_m(void) { return PyGone(); }"
    [fault] = faults(tmp_path, compiler.shared(source, target="x86_64-linux-gnu"))
    assert "EM_X86_64 (64-bit, little-endian)" in fault.message
    assert "EM_ARM (32-bit, little-endian)" in fault.message


def test_another_byte_order_is_refused(compiler: Compiler, tmp_path: Path) -> None:
    [fault] = faults(tmp_path, compiler.shared(MODULE, target="armeb-linux-gnueabihf"))
    assert "big-endian" in fault.message


def test_soft_float_is_refused(compiler: Compiler, tmp_path: Path) -> None:
    [fault] = faults(tmp_path, compiler.shared(MODULE, target="arm-linux-gnueabi"))
    assert "soft-float" in fault.message


@pytest.mark.parametrize(("target", "refused"), [("arm-linux-gnueabi", True), ("arm-linux-gnueabihf", False)])
def test_float_abi_is_known_where_the_linker_did_not_say(
    compiler: Compiler, tmp_path: Path, target: str, refused: bool
) -> None:
    module = bytearray(compiler.shared(MODULE, target=target))
    module[36:40] = struct.pack("<I", 0x05000000)  # e_flags: EABI 5, as older linkers leave them
    assert any("soft-float" in fault.message for fault in faults(tmp_path, bytes(module))) == refused


def test_float_abi_is_known_where_only_the_linker_said_it(compiler: Compiler, tmp_path: Path) -> None:
    attributes, plain = struct.pack("<I", 0x70000003), struct.pack("<I", 1)  # SHT_ARM_ATTRIBUTES, _PROGBITS
    module = compiler.shared(MODULE, target="arm-linux-gnueabi")
    assert attributes in module
    [fault] = faults(tmp_path, module.replace(attributes, plain))
    assert "soft-float" in fault.message


def test_an_executable_stack_is_refused(compiler: Compiler, tmp_path: Path) -> None:
    [fault] = faults(tmp_path, compiler.linked(MODULE, "-shared", "-z", "execstack"))
    assert "executable stack" in fault.message


def test_a_missing_stack_header_means_what_it_means_to_glibc_there(
    compiler: Compiler, tmp_path: Path
) -> None:
    flags = ("-shared", "-z", "nognustack")
    [fault] = faults(tmp_path, compiler.linked(MODULE, *flags))
    assert "no PT_GNU_STACK" in fault.message
    assert faults(tmp_path, compiler.linked(MODULE, *flags, target="aarch64-linux-gnu"), FLEX) == []


def test_text_relocations_are_refused(compiler: Compiler, tmp_path: Path) -> None:
    hard_float = ".eabi_attribute 28, 1"  # Tag_ABI_VFP_args, which a compiler writes by itself
    source = f"{hard_float}\n.text\n.globl PyInit_m\nPyInit_m: .long PyInit_m"
    [fault] = faults(tmp_path, compiler.linked(source, "-shared", "-z", "notext"))
    assert "DT_TEXTREL" in fault.message


# --- symbol versions ---


def test_a_symbol_newer_than_the_targets_glibc_is_named(compiler: Compiler, tmp_path: Path) -> None:
    source = "int fcntl64(int, int, ...); int PyInit_m(void) { return fcntl64(0, 1); }"
    module = compiler.shared(source, "-lc", target="arm-linux-gnueabihf.2.36")
    [fault] = faults(tmp_path, module)
    for said in ("GLIBC_2.28", "libc.so.6", "fcntl64", "GLIBC_2.25 at most"):
        assert said in fault.message


def test_a_newer_version_that_is_needed_weakly_loads(compiler: Compiler, tmp_path: Path) -> None:
    declared = "int fcntl64(int, int, ...) __attribute__((weak));"
    source = f"{declared} int PyInit_m(void) {{ return fcntl64 ? fcntl64(0, 1) : 0; }}"
    stub(compiler, "libc.so.6", "fcntl64", "GLIBC_2.28")
    module = compiler.shared(source, "-Wl,--no-as-needed", "./libc.so.6")
    # What GNU ld writes where all uses are weak, and LLD does not: VER_FLG_WEAK.
    strong, weak = (struct.pack("<IH", GLIBC_2_28_HASH, flag) for flag in (0, 2))
    [fault] = faults(tmp_path, module)
    assert "GLIBC_2.28" in fault.message
    assert faults(tmp_path, module.replace(strong, weak)) == []


@pytest.mark.parametrize(
    ("library", "version", "loads"),
    [
        ("libstdc++.so.6", "GLIBCXX_3.4.24", True),
        ("libstdc++.so.6", "GLIBCXX_3.4.9", True),
        ("libstdc++.so.6", "GLIBCXX_3.4.25", False),
        ("libstdc++.so.6", "CXXABI_1.3.12", False),
        ("libstdc++.so.6", "CXXABI_ARM_1.3.3", True),
        ("libgcc_s.so.1", "GCC_7.0.0", True),
        ("libgcc_s.so.1", "GCC_12.0.0", False),
        ("libc.so.6", "GLIBC_PRIVATE", False),
        ("libc.so.6", "GLIBC_ABI_DT_RELR", False),
    ],
)
def test_versions_are_compared_as_numbers(
    compiler: Compiler, tmp_path: Path, library: str, version: str, loads: bool
) -> None:
    stub(compiler, library, "wanted", version)
    module = compiler.shared("int wanted(void); int PyInit_m(void) { return wanted(); }", f"./{library}")
    found = faults(tmp_path, module)
    assert [f"{version} of {library} (for wanted)" in fault.message for fault in found] == [True] * (
        not loads
    )


def test_the_newest_version_of_each_kind_is_told(compiler: Compiler, tmp_path: Path) -> None:
    stub(compiler, "libstdc++.so.6", "first", "GLIBCXX_3.4.20")
    stub(compiler, "libgcc_s.so.1", "second", "GLIBCXX_3.4.9")
    source = "int first(void), second(void); int PyInit_m(void) { return first() + second(); }"
    module = compiler.shared(source, "./libstdc++.so.6", "./libgcc_s.so.1")
    assert audited(tmp_path, {"pkg/m.so": module})[0][0].newest == {"GLIBCXX": "3.4.20"}


def test_versions_of_a_bundled_library_are_its_own(compiler: Compiler, tmp_path: Path) -> None:
    stub(compiler, "libgcc_s.so.1", "wanted", "GCC_14.0.0")
    source = "int wanted(void); int PyInit_m(void) { return wanted(); }"
    module = compiler.shared(source, "./libgcc_s.so.1", "-Wl,-rpath,$ORIGIN")
    bundled = (compiler.folder / "libgcc_s.so.1").read_bytes()
    found, wrong = audited(tmp_path, {"pkg/m.so": module, "pkg/libgcc_s.so.1": bundled})
    assert wrong == []
    assert found[0].newest == {}


# --- libraries ---


def uses_foo(compiler: Compiler, *flags: str) -> bytes:
    stub(compiler, "libfoo.so.1", "foo")
    return compiler.shared("int foo(void); int PyInit_m(void) { return foo(); }", "./libfoo.so.1", *flags)


def foo(compiler: Compiler) -> bytes:
    stub(compiler, "libfoo.so.1", "foo")
    return (compiler.folder / "libfoo.so.1").read_bytes()


def test_a_library_that_nobody_has_is_named(compiler: Compiler, tmp_path: Path) -> None:
    [fault] = faults(tmp_path, uses_foo(compiler))
    assert "libfoo.so.1" in fault.message
    assert "neither Opentrons OT-2 nor the wheel has it" in fault.message


@pytest.mark.parametrize("origin", ["$ORIGIN", "${ORIGIN}"])
@pytest.mark.parametrize(
    ("module", "path"), [("pkg/sub/m.so", "/../../pkg.libs"), ("pkg-1.0.data/platlib/m.so", "/pkg.libs")]
)
def test_a_bundled_library_is_found_from_where_the_module_lies(
    compiler: Compiler, tmp_path: Path, module: str, origin: str, path: str
) -> None:
    files = {module: uses_foo(compiler, f"-Wl,-rpath,{origin}{path}"), "pkg.libs/libfoo.so.1": foo(compiler)}
    assert audited(tmp_path, files)[1] == []


def test_a_bundled_library_beside_a_module_in_the_top_folder_is_found(
    compiler: Compiler, tmp_path: Path
) -> None:
    files = {"m.so": uses_foo(compiler, "-Wl,-rpath,$ORIGIN"), "libfoo.so.1": foo(compiler)}
    assert audited(tmp_path, files)[1] == []


def test_a_bundled_library_where_the_module_does_not_look_is_faulted(
    compiler: Compiler, tmp_path: Path
) -> None:
    files = {"pkg/m.so": uses_foo(compiler, "-Wl,-rpath,$ORIGIN"), "pkg.libs/libfoo.so.1": foo(compiler)}
    [fault] = audited(tmp_path, files)[1]
    assert "libfoo.so.1, which the wheel brings along, but it does not look there" in fault.message


@pytest.mark.parametrize(("tags", "found"), [("--disable-new-dtags", True), ("--enable-new-dtags", False)])
def test_rpath_holds_for_the_libraries_of_libraries_and_runpath_does_not(
    compiler: Compiler, tmp_path: Path, tags: str, found: bool
) -> None:
    stub(compiler, "libfoo.so.1", "foo")
    bar = compiler.linked(
        "int foo(void); int bar(void) { return foo(); }",
        *("-shared", "-soname", "libbar.so.1", "./libfoo.so.1"),
        name="libbar.so.1",
    )
    module = compiler.linked(
        "int bar(void); int PyInit_m(void) { return bar(); }",
        *("-shared", "./libbar.so.1", tags, "-rpath", "$ORIGIN/../pkg.libs"),
    )
    files = {"pkg/m.so": module, "pkg.libs/libbar.so.1": bar, "pkg.libs/libfoo.so.1": foo(compiler)}
    assert [fault.file for fault in audited(tmp_path, files)[1]] == ["pkg.libs/libbar.so.1"] * (not found)


@pytest.mark.parametrize("path", ["/usr/local/lib", "$ORIGINAL/lib", "$ORIGIN/lib:/home/me/lib", "lib"])
def test_a_library_path_of_the_building_machine_is_refused(
    compiler: Compiler, tmp_path: Path, path: str
) -> None:
    [fault] = faults(tmp_path, compiler.shared(MODULE, f"-Wl,-rpath,{path}"))
    assert repr(path.split(":")[-1]) in fault.message


def test_a_program_needs_the_very_loader_that_the_target_has(compiler: Compiler, tmp_path: Path) -> None:
    def program(loader: str) -> dict[str, bytes]:
        flags = ("-pie", "-e", "start", f"--dynamic-linker={loader}")
        return {"pkg-1.0.data/scripts/tool": compiler.linked("void start(void) {}", *flags)}

    assert audited(tmp_path, program("/lib/ld-linux-armhf.so.3"))[1] == []
    for other in ("/lib/ld-musl-armhf.so.1", "/nix/store/glibc/lib/ld-linux-armhf.so.3"):
        [fault] = audited(tmp_path, program(other))[1]
        assert fault.file == "pkg-1.0.data/scripts/tool"
        assert f"it is started by {other}, and Opentrons OT-2 has /lib/ld-linux-armhf.so.3" in fault.message


# --- symbols of Python ---


def test_a_symbol_that_python_lacks_is_named(compiler: Compiler, tmp_path: Path) -> None:
    source = "int _PyFoo_New(void), PyModule_Create2(void);"
    source += "int PyInit_m(void) { return _PyFoo_New() + PyModule_Create2(); }"
    [fault] = faults(tmp_path, compiler.shared(source))
    assert "CPython 3.10.8 does not offer _PyFoo_New" in fault.message
    assert "PyModule_Create2" not in fault.message


def test_a_weak_symbol_may_be_missing(compiler: Compiler, tmp_path: Path) -> None:
    source = "int PyFoo(void) __attribute__((weak)); int PyInit_m(void) { return PyFoo ? PyFoo() : 0; }"
    assert faults(tmp_path, compiler.shared(source)) == []


def test_a_program_cannot_use_the_symbols_of_python(compiler: Compiler, tmp_path: Path) -> None:
    flags = ("-pie", "-e", "start", "--dynamic-linker=/lib/ld-linux-armhf.so.3", "./libc.so.6")
    stub(compiler, "libc.so.6", "exit", "GLIBC_2.4")
    source = "int PyModule_Create2(void); void start(void) { PyModule_Create2(); }"
    program = compiler.linked(source, "--unresolved-symbols=ignore-all", *flags)
    [fault] = audited(tmp_path, {"pkg-1.0.data/scripts/tool": program})[1]
    assert "PyModule_Create2" in fault.message


def test_a_symbol_with_a_version_is_one_of_the_library_that_gave_it(
    compiler: Compiler, tmp_path: Path
) -> None:
    stub(compiler, "libcurl.so.4", "PyFoo", "CURL_4")
    module = compiler.shared("int PyFoo(void); int PyInit_m(void) { return PyFoo(); }", "./libcurl.so.4")
    assert faults(tmp_path, module) == []


def test_a_symbol_may_come_from_another_object_of_the_wheel(compiler: Compiler, tmp_path: Path) -> None:
    files = {
        "pkg/m.so": compiler.shared("int PyFoo(void); int PyInit_m(void) { return PyFoo(); }"),
        "pkg/other.so": compiler.shared("int PyFoo(void) { return 0; }"),
    }
    assert audited(tmp_path, files)[1] == []


def test_symbols_that_the_interpreter_brings_along_need_no_library(
    compiler: Compiler, tmp_path: Path
) -> None:
    source = "double log10(double); double PyInit_m(double x) { return log10(x); }"
    assert faults(tmp_path, compiler.shared(source, "-fno-builtin")) == []


def test_symbols_that_python_exports_are_those_that_others_can_use(
    compiler: Compiler, tmp_path: Path
) -> None:
    source = """
    int PyModule_Create2(void) { return 0; }
    int PyWeak __attribute__((weak));
    __attribute__((visibility("hidden"))) int PyHidden(void) { return 0; }
    static int PyLocal(void) { return 0; }
    int other(void);
    int PyUses(void) { return other() + PyLocal() + PyHidden(); }
    int XML_Parse(void) { return 0; }
    """
    compiler.shared(source, name="libpython3.10.so.1.0")
    tree = PythonTree(tmp_path, "3.10")
    tree.names.parent.mkdir()
    tree.names.write_bytes((compiler.folder / "libpython3.10.so.1.0").read_bytes())
    found = system_of(OT2, tree, None)
    assert set(found.python.symbols) == {"PyModule_Create2", "PyWeak", "PyUses"}


def test_a_python_that_is_no_object_is_an_explained_error(tmp_path: Path) -> None:
    tree = PythonTree(tmp_path, "3.10")
    tree.names.parent.mkdir()
    tree.names.write_text("INPUT(libpython3.so)")
    with pytest.raises(IntegrityError, match=r"libpython3\.10\.so\.1\.0 cannot be read as ELF"):
        system_of(OT2, tree, None)


# --- symbols of other libraries ---


def calls(*names: str) -> str:
    """Return a module that declares functions itself, and calls them."""
    declared = "".join(f"int {name}(void);" for name in names)
    return f"{declared} int PyInit_m(void) {{ return {' + '.join(f'{name}()' for name in names)}; }}"


def notes(folder: Path, files: Mapping[str, bytes], target: targets.Target = OT2) -> list[str]:
    found, wrong = audited(folder, files, target=target)
    assert wrong == []
    return [said for item in found for said in item.unproven]


@pytest.mark.parametrize("flags", [(), ("./libz.so.1",)])
def test_a_function_of_a_later_glibc_that_the_code_declares_itself_is_refused(
    compiler: Compiler, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    """No version tells of it, and the emulator has it; nor can it hide behind a library that is not known."""
    stub(compiler, "libz.so.1", "deflate")
    [fault] = faults(
        tmp_path, compiler.shared(calls("gettid", "deflate"[: 7 * len(flags)] or "close"), *flags)
    )
    assert "it needs gettid of glibc 2.30, and Opentrons OT-2 has glibc 2.25" in fault.message


def test_a_function_that_nothing_defines_is_refused(compiler: Compiler, tmp_path: Path) -> None:
    [fault] = faults(tmp_path, compiler.shared(calls("forgotten", "close")))
    assert "nothing that is loaded with it defines forgotten" in fault.message


def test_a_library_of_the_system_counts_where_it_is_loaded(compiler: Compiler, tmp_path: Path) -> None:
    stub(compiler, "librt.so.1", "shm_open")
    assert faults(tmp_path, compiler.shared(calls("shm_open"), "./librt.so.1")) == []
    [fault] = faults(tmp_path, compiler.shared(calls("shm_open")))
    assert "nothing that is loaded with it defines shm_open (librt.so.1 would)" in fault.message


def test_what_only_an_unknown_library_may_define_is_not_proven(compiler: Compiler, tmp_path: Path) -> None:
    stub(compiler, "libz.so.1", "deflate")
    module = compiler.shared(calls("deflate", "close"), "./libz.so.1")
    assert notes(tmp_path, {"pkg/m.so": module}) == ["whether libz.so.1 defines deflate"]


def test_what_a_needed_library_of_the_wheel_needs_may_be_in_another_that_is_loaded_with_it(
    compiler: Compiler, tmp_path: Path
) -> None:
    compiler.shared(
        "int foo(void); int bar(void) { return foo(); }", "-Wl,-soname,libbar.so.1", name="libbar.so.1"
    )
    bar = (compiler.folder / "libbar.so.1").read_bytes()
    stub(compiler, "libfoo.so.1", "foo")
    flags = ("./libbar.so.1", "-Wl,--no-as-needed", "./libfoo.so.1", "-Wl,-rpath,$ORIGIN")
    files = {"m.so": compiler.shared(calls("bar"), *flags), "libbar.so.1": bar, "libfoo.so.1": foo(compiler)}
    assert notes(tmp_path, files) == []
    lent = "that what defines foo in the wheel is loaded before it"
    files["m.so"] = compiler.shared(calls("bar"), "./libbar.so.1", "-Wl,-rpath,$ORIGIN")
    assert notes(tmp_path, files) == [lent]
    del files["libfoo.so.1"]
    [fault] = audited(tmp_path, files)[1]
    assert (fault.file, "defines foo" in fault.message) == ("libbar.so.1", True)


def test_what_can_be_loaded_by_itself_is_told(compiler: Compiler, tmp_path: Path) -> None:
    """Programs cannot, nor what finds its symbols in what loads it."""
    compiler.shared(
        "int foo(void); int bar(void) { return foo(); }", "-Wl,-soname,libbar.so.1", name="libbar.so.1"
    )
    bar = (compiler.folder / "libbar.so.1").read_bytes()
    source = "int bar(void); int foo(void) { return 0; } int PyInit_m(void) { return bar(); }"
    files = {
        "m.so": compiler.shared(source, "./libbar.so.1", "-Wl,-rpath,$ORIGIN"),
        "libbar.so.1": bar,
        "tool": compiler.linked("void start(void) {}", "-pie", "-e", "start", "--no-dynamic-linker"),
    }
    found, wrong = audited(tmp_path, files)
    assert wrong == []
    assert {item.file: item.opened for item in found} == {"m.so": True, "libbar.so.1": False, "tool": False}


def newer_system(compiler: Compiler, folder: Path, *, glibc: str = "2.36") -> Path:
    """Return a folder with libraries of a system that is newer than the OT-2, if ``glibc`` is."""
    library = folder / "usr" / "lib" / OT2.multiarch
    library.mkdir(parents=True)
    (compiler.folder / "both").write_text(
        "GLIBCXX_3.4.24 { global: old; }; GLIBCXX_3.4.30 { global: new; } GLIBCXX_3.4.24;"
    )
    source = "int old(void) { return 0; } int new(void) { return 0; }"
    flags = ("-Wl,-soname,libstdc++.so.6", "-Wl,--version-script=both")
    (library / "libstdc++.so.6").write_bytes(compiler.shared(source, *flags, name="libstdc++.so.6"))
    stub(compiler, "libc.so.6", "some", f"GLIBC_{glibc}")
    stub(compiler, "libz.so.1", "deflate")
    for name in ("libc.so.6", "libz.so.1"):
        (library / name).write_bytes((compiler.folder / name).read_bytes())
    return folder


def test_a_newer_systems_library_tells_by_its_versions_what_the_targets_has(
    compiler: Compiler, tmp_path: Path
) -> None:
    copies = copies_in(newer_system(compiler, tmp_path / "root"), OT2, exact=False)
    assert "libz.so.1" not in copies  # which has no versions to tell by
    system = described(OT2, python=PYTHON, needed=(), copies=copies)
    both = "int old(void) { return 0; } int new(void) { return 0; }"
    compiler.shared(both, "-Wl,-soname,libstdc++.so.6", name="libstdc++.so.6")
    module = compiler.shared(calls("old", "new"), "./libstdc++.so.6")  # asks for no version
    [fault] = audited(tmp_path, {"pkg/m.so": module}, system=system)[1]
    assert "nothing that is loaded with it defines new" in fault.message


def test_an_older_systems_library_does_not_tell_what_is_missing(compiler: Compiler, tmp_path: Path) -> None:
    copies = copies_in(newer_system(compiler, tmp_path / "root", glibc="2.4"), OT2, exact=False)
    assert not copies["libstdc++.so.6"].is_complete


def test_the_libraries_of_an_sdk_are_the_targets_own(compiler: Compiler, tmp_path: Path) -> None:
    copies = copies_in(newer_system(compiler, tmp_path / "root"), OT2, exact=True)
    system = described(OT2, python=PYTHON, needed=(), copies=copies)
    stub(compiler, "libz.so.1", "deflate")
    module = compiler.shared(calls("deflate", "inflate"), "./libz.so.1")
    [fault] = audited(tmp_path, {"pkg/m.so": module}, system=system)[1]
    assert "nothing that is loaded with it defines inflate" in fault.message


@pytest.mark.parametrize(
    ("library", "version", "said"),
    [
        ("libcrypt.so.1", "GLIBC_2.4", None),
        ("libcrypt.so.1", "XCRYPT_2.0", "which that of Opentrons OT-2 does not define"),
        ("libz.so.1", "ZLIB_1.2.9", "whether libz.so.1 has ZLIB_1.2.9"),
        ("libdl.so.2", "GLIBC_2.17", "libdl.so.2 (for wanted), which that of Opentrons OT-2 does not define"),
    ],
)
def test_versions_of_any_library_are_those_that_it_has_or_not_proven(
    compiler: Compiler, tmp_path: Path, library: str, version: str, said: str | None
) -> None:
    stub(compiler, library, "wanted", version)
    module = compiler.shared("int wanted(void); int PyInit_m(void) { return wanted(); }", f"./{library}")
    found, wrong = audited(tmp_path, {"pkg/m.so": module})
    told = [fault.message for fault in wrong] + list(found[0].unproven)
    assert any(said in text for text in told) if said else not any(version in text for text in told)


def test_a_bundled_library_has_the_versions_that_it_is_asked_for(compiler: Compiler, tmp_path: Path) -> None:
    stub(compiler, "libfoo.so.1", "foo", "FOO_2")
    module = compiler.shared(calls("foo"), "./libfoo.so.1", "-Wl,-rpath,$ORIGIN")
    stub(compiler, "libfoo.so.1", "foo", "FOO_1")
    files = {"m.so": module, "libfoo.so.1": (compiler.folder / "libfoo.so.1").read_bytes()}
    [fault] = audited(tmp_path, files)[1]
    assert "it needs FOO_2 of libfoo.so.1 (for foo), which the wheel's own does not define" in fault.message


# --- the loader and the kernel ---


def test_packed_relocations_are_refused_where_the_loader_passes_over_them(
    compiler: Compiler, tmp_path: Path
) -> None:
    """No version says that they are there, where no libc.so.6 is linked."""
    source = MODULE + " static int x; int *pointers[4] = {&x, &x, &x, &x};"
    module = compiler.linked(source, "-shared", "-z", "pack-relative-relocs")
    [fault] = faults(tmp_path, module)
    assert "its relocations are packed (DT_RELR)" in fault.message
    said = OT2.model_dump()
    said["abi"]["glibc"] = "2.36"
    assert faults(tmp_path, module, targets.Target.model_validate(said)) == []


def test_another_operating_system_is_refused(compiler: Compiler, tmp_path: Path) -> None:
    module = bytearray(compiler.shared(MODULE))
    module[7] = 9  # EI_OSABI: FreeBSD
    [fault] = faults(tmp_path, bytes(module))
    assert "ELFOSABI_FREEBSD" in fault.message


@pytest.mark.parametrize(("kernel", "refused"), [((4, 14, 0), False), ((5, 10, 0), True)])
def test_a_note_that_asks_for_a_newer_kernel_is_refused(
    compiler: Compiler, tmp_path: Path, kernel: tuple[int, int, int], refused: bool
) -> None:
    note = '.eabi_attribute 28, 1\n.section .note.ABI-tag,"a",%note\n.long 4, 16, 1\n.asciz "GNU"\n.long 0, '
    source = f".{note[1:]}{', '.join(map(str, kernel))}\n"
    found = faults(tmp_path, compiler.linked(source, "-shared"))
    assert ["needs Linux 5.10.0" in fault.message for fault in found] == [True] * refused


def test_segments_that_do_not_begin_on_the_targets_pages_are_refused(
    compiler: Compiler, tmp_path: Path
) -> None:
    said = OT2.model_dump()
    said["abi"]["page_bytes"] = 16384
    module = compiler.linked(MODULE, "-shared", "-z", "max-page-size=4096")
    assert faults(tmp_path, module) == []
    [fault] = faults(tmp_path, module, targets.Target.model_validate(said))
    assert "aligned to 4096 bytes, and a page of Opentrons OT-2 has 16384" in fault.message


# --- odd wheels ---


def test_bytes_that_only_begin_like_an_object_are_a_fault(compiler: Compiler, tmp_path: Path) -> None:
    module = compiler.shared(MODULE)
    for damaged in (b"\x7fELF", b"\x7fELF" + b"\xff" * 200, module[:200]):
        [fault] = faults(tmp_path, damaged)
        assert "cannot be read as ELF" in fault.message


@pytest.mark.parametrize(
    ("kind", "field"), [(11, 16), (3, 16), (11, 20)]
)  # SHT_DYNSYM, SHT_STRTAB; offset, size
def test_a_table_that_leaves_the_file_is_a_fault(
    compiler: Compiler, tmp_path: Path, kind: int, field: int
) -> None:
    module = bytearray(compiler.shared(MODULE))
    (start,), (size, count) = struct.unpack_from("<I", module, 32), struct.unpack_from("<HH", module, 46)
    headers = [start + number * size for number in range(count)]
    header = next(at for at in headers if struct.unpack_from("<I", module, at + 4) == (kind,))
    (entry,) = struct.unpack_from("<I", module, header + 36) if kind == 11 else (1,)
    struct.pack_into("<I", module, header + field, len(module) // entry * entry)
    [fault] = faults(tmp_path, bytes(module))
    assert "cannot be read as ELF" in fault.message
    assert "ends after the end of the file" in fault.message


def test_an_object_that_hides_its_symbols_is_a_fault(compiler: Compiler, tmp_path: Path) -> None:
    module = bytearray(compiler.shared("int PyGone(void); int PyInit_m(void) { return PyGone(); }"))
    module[32:36] = bytes(4)  # e_shoff
    module[46:52] = bytes(6)  # e_shentsize, e_shnum, e_shstrndx
    [fault] = faults(tmp_path, bytes(module))
    assert "section headers were removed" in fault.message


def test_a_wheel_for_all_platforms_may_carry_libraries_for_others(compiler: Compiler, tmp_path: Path) -> None:
    foreign = compiler.shared("int attach(void) { return 0; }", target="x86_64-linux-gnu")
    assert audited(tmp_path, {"pkg/attach_x86_64.so": foreign}, tag="py3-none-any") == ([], [])


def test_a_module_for_another_machine_is_a_fault_in_a_wheel_for_all_platforms(
    compiler: Compiler, tmp_path: Path
) -> None:
    foreign = compiler.shared(MODULE, target="x86_64-linux-gnu")
    [fault] = audited(tmp_path, {"pkg/m.so": foreign}, tag="py3-none-any")[1]
    assert "EM_X86_64" in fault.message


def test_objects_with_debug_information_are_listed(compiler: Compiler, tmp_path: Path) -> None:
    files = {"pkg/a.so": compiler.shared(MODULE, "-g"), "pkg/b.so": compiler.shared(MODULE, "-g0")}
    assert unstripped(WheelFile.open(make_wheel(tmp_path, "pkg", "1.0", files, tag=NATIVE))) == ["pkg/a.so"]
