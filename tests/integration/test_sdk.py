"""The vendor's own compilers instead of zig: the same projects, the same checks, and a wrong SDK is told."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import pytest

from crosswheel import targets
from crosswheel.check.elf import audit, unstripped
from crosswheel.check.suitability import suitability
from crosswheel.debian import Debian
from crosswheel.errors import IntegrityError, ToolchainError, UsageError
from crosswheel.process import Runner
from crosswheel.recipes.libraries import LibrarySpec
from crosswheel.settings import Settings
from crosswheel.toolchain.compilers.sdk import open_sdk
from crosswheel.toolchain.compilers.zig import zig_compilers
from crosswheel.toolchain.libraries import linking as libraries
from crosswheel.wheels.proof import Proof
from crosswheel.wheels.reading import WheelFile
from support import projects
from support.command_line import command_line
from support.crossing import Crossing, crossing_for, warm_cache
from support.projects import Files, write_tree
from support.sdk import TRIPLE, debians_sdk

OT2 = targets.load("ot2")
CALLS = "import _demo; print(_demo.bits(), _demo.add(40, 2), _demo.__file__.rsplit('/')[-1])"
ANSWERS = ["32 42 _demo.cpython-311-arm-linux-gnueabihf.so"]
OT2_ANSWERS = ["32 42 _demo.cpython-310-arm-linux-gnueabihf.so"]


@pytest.fixture(scope="session")
def sdk() -> Path:
    return debians_sdk(Settings.from_environment())


@pytest.fixture(scope="module")
def crossing(sdk: Path, tmp_path_factory: pytest.TempPathFactory) -> Crossing:
    return crossing_for(tmp_path_factory.mktemp("crossing"), "debian-armhf", sdk=sdk)


@pytest.fixture
def robot(crossing: Crossing, tmp_path: Path) -> Crossing:
    """A robot that runs Debian 12, which is the system that the SDK was made for."""
    return crossing.in_folder(tmp_path)


@pytest.fixture
def ot2(sdk: Path, tmp_path: Path) -> Crossing:
    """A robot with an older C library than the SDK's."""
    return crossing_for(tmp_path, sdk=sdk)


def faults(wheel: Path, crossing: Crossing) -> list[str]:
    opened = WheelFile.open(wheel)
    found = [*suitability(opened, crossing.target), *audit(opened, crossing.target, crossing.system)[1]]
    return [f.message for f in found] + unstripped(opened)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (projects.c_project(), {}),
        (projects.cxx_project(), {"setup_py_commands": ("bdist_wheel",)}),
        (projects.rust_project(), {}),
    ],
    ids=["C", "C++ by setup.py", "Rust"],
)
def test_the_same_project_is_compiled_by_the_vendors_gcc_and_works_on_the_robot(
    robot: Crossing, files: Files, said: dict[str, object]
) -> None:
    wheel = robot.build(files, said=said)
    assert wheel.name == "demo-1.0-cp311-cp311-linux_armv7l.whl"
    assert faults(wheel, robot) == []
    assert robot.run(CALLS, wheel).lines == ANSWERS


def test_one_recipe_works_with_both_and_the_proof_tells_which_it_was(
    sdk: Path, crossing: Crossing, tmp_path: Path
) -> None:
    """The whole command: what one toolchain made is not taken for what the other was asked for."""
    with command_line(tmp_path) as crosswheel:
        crosswheel.offer_real(*projects.SETUPTOOLS.split("=="))
        crosswheel.offer_on_github(projects.c_project())
        source = 'source=package_build.github_source(org="org", repo="demo", tag="1.0")'
        crosswheel.recipe(f"{source}, tests=['test_demo.py']", files={"test_demo.py": CALLS})
        tools = []
        for words in ([], ["--sdk", str(sdk)]):
            done = crosswheel.run("build", "--target", "debian-armhf", *words)
            assert done.returncode == 0, done.output
            (file,) = (crosswheel.folder / "dist/demo/1.0").glob("*.proof.json")
            proof = Proof.model_validate_json(file.read_bytes())
            assert proof.tests
            tools.append({"zig", "GCC"} & set(proof.toolchain))
        assert tools == [{"zig"}, {"GCC"}]


def test_a_library_in_cxx_is_built_by_it_too_and_what_is_written_in_c_gets_its_runtime(
    robot: Crossing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """
        #include <stdexcept>
        #include <string>
        extern "C" int shape_corners(const char *name)
        {
            try {
                if (std::string(name) == "square") return 4;
                throw std::out_of_range(name);
            } catch (const std::exception &error) {
                return -1;
            }
        }
    """
    lists = (
        "cmake_minimum_required(VERSION 3.16)\nproject(shapes CXX)\nadd_library(shapes shapes.cpp)\n"
        "install(TARGETS shapes ARCHIVE DESTINATION lib)\ninstall(FILES LICENSE DESTINATION include)\n"
    )
    tree = write_tree(
        tmp_path / "shapes-1.0", {"shapes.cpp": text, "CMakeLists.txt": lists, "LICENSE": "Free."}
    )
    made = Path(shutil.make_archive(str(tmp_path / "shapes_1.0.orig"), "gztar", tmp_path, tree.name))
    known = {"shapes": LibrarySpec(source="shapes", language="C++", cmake=())}
    monkeypatch.setattr(libraries, "known_libraries", lambda: known)
    monkeypatch.setattr(Debian, "source", lambda self, package, folder: made)
    source = "int shape_corners(const char *name);\n" + projects.C_SOURCE.replace(
        "return a + b;", 'return a + b + shape_corners("square") - 4 + shape_corners("round") + 1;'
    )
    setup = projects.setup_py('Extension("_demo", ["demo.c"], libraries=["shapes"])')
    files = {**projects.c_project(), "demo.c": source, "setup.py": setup}
    wheel = robot.build(files, said={"libraries": ("shapes",)})
    assert faults(wheel, robot) == []
    assert robot.run(CALLS, wheel).lines == ANSWERS
    (audited,) = audit(WheelFile.open(wheel), robot.target, robot.system)[0]
    assert "libstdc++.so.6" in audited.needed  # the robot has the SDK's


def test_it_is_really_the_vendors_compiler_and_headers(robot: Crossing) -> None:
    check = "\n#if !defined(HEADERS_OF_THE_SDK) || defined(__clang__)\n#error\n#endif\n"
    files = {**projects.c_project(), "demo.c": projects.C_SOURCE + check}
    assert robot.run(CALLS, robot.build(files)).lines == ANSWERS
    versions = robot.environment().versions
    assert (versions["GCC"][:3], versions["SDK's glibc"]) == ("12.", "2.36")
    assert "zig" not in versions


def test_what_the_recipe_says_reaches_this_compiler_too(ot2: Crossing) -> None:
    """Its level of optimisation, and a C library by name with stand-ins for what it wants of a newer glibc."""
    source = "#include <ffi.h>\n#ifndef __OPTIMIZE_SIZE__\n#error\n#endif\n" + projects.C_SOURCE.replace(
        "return a + b;", "static void *code; return a + b + !ffi_closure_alloc(sizeof(ffi_closure), &code);"
    )
    extension = (
        'Extension("_demo", ["demo.c"], libraries=["ffi"], extra_compile_args=["-march=native", "-g"])'
    )
    files = {**projects.c_project(), "demo.c": source, "setup.py": projects.setup_py(extension)}
    wheel = ot2.build(files, said={"optimize": "s", "libraries": ("libffi",)})
    assert faults(wheel, ot2) == []
    assert ot2.run(CALLS, wheel).lines == OT2_ANSWERS


def test_the_same_project_gives_the_same_bytes_in_any_folder(robot: Crossing, tmp_path: Path) -> None:
    built = [
        robot.in_folder(tmp_path / name).build(projects.cxx_project()) for name in ("first", "other/deeper")
    ]
    assert built[0].read_bytes() == built[1].read_bytes()


def test_a_wheel_that_needs_more_than_the_robots_glibc_is_refused_and_others_are_not(ot2: Crossing) -> None:
    """The SDK's C library is newer than the robot's, which is told beforehand; not every wheel minds."""
    wheel = ot2.in_folder(ot2.folder / "old").build(projects.c_project())
    assert faults(wheel, ot2) == []
    assert ot2.run(CALLS, wheel).lines == OT2_ANSWERS
    source = "#include <dlfcn.h>\n" + projects.C_SOURCE.replace(
        "return a + b;", "return a + b + !dlopen(0, 2);"
    )
    newer = ot2.in_folder(ot2.folder / "new").build({**projects.c_project(), "demo.c": source})
    found = faults(newer, ot2)
    assert any("GLIBC_2.34" in fault and "GLIBC_2.25 at most" in fault for fault in found), found


def test_a_newer_glibc_is_told_beforehand(sdk: Path) -> None:
    settings = Settings.from_environment()
    warning = open_sdk(sdk, OT2, settings, Runner()).warning(OT2)
    assert warning is not None
    assert "glibc 2.36" in warning
    assert "2.25" in warning
    debian = targets.load("debian-armhf")
    assert open_sdk(sdk, debian, settings, Runner()).warning(debian) is None


def test_a_tarball_is_unpacked_and_relocated_once(sdk: Path, tmp_path: Path) -> None:
    archive = tmp_path / "sdk.tar"
    with tarfile.open(archive, "w") as opened:
        opened.add(sdk, f"{TRIPLE}_sdk-buildroot")
    settings = Settings(cache=warm_cache(tmp_path / "cache"), github="", registry="")
    log = tmp_path / "log"
    first = open_sdk(archive, OT2, settings, Runner(log=log))
    assert settings.cache in first.root.parents
    assert str(first.root) in (first.root / "bin" / f"{TRIPLE}-gcc").read_text()
    again = open_sdk(archive, OT2, settings, Runner(log=log))
    assert again == first
    assert log.read_text().count("$ ./relocate-sdk.sh") == 1


def test_a_folder_that_changed_is_another_sdk(sdk: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(sdk, tmp_path / "sdk", symlinks=True)
    settings = Settings.from_environment()
    before = open_sdk(copy, OT2, settings, Runner())
    assert open_sdk(copy, OT2, settings, Runner()).identity == before.identity
    (copy / TRIPLE / "sysroot/usr/include/stdio.h").write_text("")
    assert open_sdk(copy, OT2, settings, Runner()).identity != before.identity


def test_what_is_no_sdk_or_one_for_another_machine_is_told(tmp_path: Path) -> None:
    settings = Settings.from_environment()
    with pytest.raises(UsageError, match="there is no SDK at"):
        open_sdk(tmp_path / "absent", OT2, settings, Runner())
    with pytest.raises(ToolchainError, match=r"it has no bin/\*-gcc"):
        open_sdk(tmp_path, OT2, settings, Runner())
    (tmp_path / "junk.tar.gz").write_bytes(b"no archive")
    with pytest.raises(IntegrityError, match=r"junk\.tar\.gz"):
        open_sdk(tmp_path / "junk.tar.gz", OT2, settings, Runner())
    # A compiler for this machine, and one for the Flex.
    (tmp_path / "bin").mkdir()
    zig = zig_compilers(targets.load("flex"), settings.cache)
    settled = " ".join(f"{name}={value}" for name, value in zig.environment.items())
    for name, tool in (("some-gcc", "host-cc"), ("other-gcc", "cc")):
        (tmp_path / "bin" / name).write_text(f'#!/bin/sh\n{settled} exec {zig.folder / tool} "$@"\n')
        (tmp_path / "bin" / name).chmod(0o755)
    with pytest.raises(ToolchainError) as caught:
        open_sdk(tmp_path, OT2, settings, Runner())
    assert "Opentrons OT-2, which is EM_ARM, 32-bit, little-endian, hard-float" in caught.value.message
    assert "some-gcc compiles for EM_X86_64, 64-bit" in caught.value.message
    assert "other-gcc compiles for EM_AARCH64, 64-bit" in caught.value.message


def test_a_compiler_that_does_not_start_is_told(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/arm-linux-gnueabihf-gcc"
    program.write_text("#!/bin/sh\necho cannot find cc1\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(ToolchainError, match="does not work") as caught:
        open_sdk(tmp_path, OT2, Settings.from_environment(), Runner())
    assert "cannot find cc1" in caught.value.message
    assert "relocate-sdk.sh" in caught.value.hint
