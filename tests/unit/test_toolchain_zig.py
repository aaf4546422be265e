"""The compilers that build backends see: GCC's command line means the robot, whatever it says of this machine."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from crosswheel import targets
from crosswheel.toolchain.compilers.driver import is_probe, translate
from crosswheel.toolchain.compilers.programs import Compilers
from crosswheel.toolchain.compilers.zig import zig_compilers

OT2 = targets.load("ot2")


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CROSSWHEEL_OPTIMIZE", "CROSSWHEEL_PREFIX_MAP", "CROSSWHEEL_COMPAT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def compilers(tmp_path_factory: pytest.TempPathFactory) -> Compilers:
    return zig_compilers(OT2, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def tools(compilers: Compilers) -> Path:
    return compilers.folder


def run(
    tool: Path, *words: str, cwd: Path | None = None, given: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a tool as a build does, with zig's cache in the folder of the tools."""
    env = {"PATH": os.defpath, **zig_compilers(OT2, tool.parents[2]).environment, **variables}
    return subprocess.run(
        [tool, *words], cwd=cwd, env=env, input=given, capture_output=True, text=True, check=False
    )


def kept(*words: str, behind: str = "zig") -> list[str]:
    """Return those of the words that the compiler gets, without what is added."""
    translated = translate(list(words), "cc", behind)[1]
    return [word for word in translated if word in words]


def added(*words: str, behind: str = "zig") -> list[str]:
    return [word for word in translate(list(words), "cc", behind)[1] if word not in words]


@pytest.mark.parametrize(
    "words",
    [
        ("-c", "a.cpp"),
        ("-c", "a.cc"),
        ("-c", "a.cxx"),
        ("-shared", "a.o", "-lstdc++"),
        ("-x", "c++", "-c", "a.inc"),
    ],
)
def test_cxx_that_old_setuptools_hands_to_the_c_compiler_is_compiled_as_such(words: tuple[str, ...]) -> None:
    assert translate(list(words), "cc")[0] == "c++"


@pytest.mark.parametrize("words", [("-c", "a.c"), ("-shared", "a.o", "-lm"), ("-x", "c", "-c", "a.inc")])
def test_c_stays_c(words: tuple[str, ...]) -> None:
    assert translate(list(words), "cc")[0] == "cc"
    assert translate(list(words), "c++")[0] == "c++"


@pytest.mark.parametrize("behind", ["zig", "gcc"])
@pytest.mark.parametrize(
    "word",
    [
        "-march=native", "-mcpu=native", "-mtune=generic", "-mfpu=neon", "-mfloat-abi=softfp", "-msse4.2", "-mavx2",
        "-m64", "-mthumb", "--target=armv7-unknown-linux-gnueabihf", "-maes",
    ],
)  # fmt: skip
def test_the_cpu_is_the_robots_not_what_a_build_asks_for(word: str, behind: str) -> None:
    assert kept("-c", word, "a.c", behind=behind) == ["-c", "a.c"]


@pytest.mark.parametrize("word", ["-g", "-g3", "-ggdb", "-Wl,--exclude-libs,ALL", "-pipe", "-static-libgcc"])
def test_what_zig_does_not_know_or_the_robot_does_not_need_is_left_out(word: str) -> None:
    assert kept("-c", word, "a.c") == ["-c", "a.c"]


@pytest.mark.parametrize("word", ["-Wl,--exclude-libs,ALL", "-pipe", "-static-libgcc", "-Wl,--version"])
def test_what_gcc_knows_is_left_to_it(word: str) -> None:
    assert kept(word, "a.c", behind="gcc") == [word, "a.c"]
    assert "-fno-sanitize=all" not in added("a.c", behind="gcc")


@pytest.mark.parametrize(
    "word",
    [
        "-Wall",
        "-std=gnu11",
        "-DA=b",
        "-fPIC",
        "-Iinclude",
        "-lm",
        "-Wl,-soname,a.so",
        "-pthread",
        "-mno-unaligned-access",
    ],
)
def test_everything_else_is_kept(word: str) -> None:
    assert word in kept(word, "a.c")


@pytest.mark.parametrize(
    "folder",
    [
        "/usr/include", "/usr/include/python3.10", "/usr/lib", "/usr/lib/x86_64-linux-gnu", "/usr/local/include",
        "/usr/local/lib", "/lib", "/lib64", "/opt/vendor/lib", "/opt/include", "//usr/include", "/usr/../usr/lib",
    ],
)  # fmt: skip
@pytest.mark.parametrize("flag", ["-I", "-L", "-isystem", "-idirafter"])
def test_folders_of_this_machine_are_refused_aloud(
    flag: str, folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert kept(f"{flag}{folder}", "a.c") == ["a.c"]
    assert kept(flag, folder, "a.c") == ["a.c"]
    assert capsys.readouterr().err.count(f"{folder}: a folder of the machine that builds") == 2


@pytest.mark.parametrize(
    "word", ["-flto", "-flto=auto", "-flto=4", "-ffat-lto-objects", "-fuse-linker-plugin"]
)
def test_only_the_vendors_compiler_optimises_at_link_time(word: str) -> None:
    assert kept(word, "-shared", "a.o") == ["-shared", "a.o"]
    assert kept(word, "-shared", "a.o", behind="gcc") == [word, "-shared", "a.o"]


@pytest.mark.parametrize(
    ("warning", "file", "other"),
    [("c++11-narrowing", "a.cpp", "a.c"), ("incompatible-function-pointer-types", "a.c", "a.cpp")],
)
def test_what_gcc_only_warns_of_is_an_error_only_if_the_build_wants_it(
    warning: str, file: str, other: str
) -> None:
    words = translate([f"-Werror={warning}", "-c", file], "cc")[1]
    assert words.index(f"-Wno-error={warning}") < words.index(f"-Werror={warning}")
    assert f"-Wno-error={warning}" not in added("-c", other) + added("-c", file, behind="gcc") + added("a.o")


def test_a_function_of_another_type_is_compiled_as_gcc_does(tools: Path, tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text("int f(long *p) { return !p; }\nint (*g)(void *) = f;\n")
    done = run(tools / "cc", "-c", "a.c", "-o", "a.o", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "incompatible function pointer types" in done.stderr


@pytest.mark.parametrize(
    ("tool", "standard", "file", "source"),
    [
        ("cc", "c++17", "a.S", "nop @ Apple's assembler doesn't know 0x10-a (nor does another)\n"),
        ("c++", "c++17", "a.S", "nop @ Apple's assembler doesn't know 0x10-a (nor does another)\n"),
        ("cc", "c++17", "a.c", "int new;\n"),
        ("cc", "gnu99", "a.cc", "bool a = true;\n"),
        ("c++", "c11", "a.cc", "bool a = true;\n"),
    ],
)
def test_a_standard_that_a_build_gives_all_its_files_holds_for_those_of_its_language(
    tools: Path, tmp_path: Path, tool: str, standard: str, file: str, source: str
) -> None:
    (tmp_path / file).write_text(source)
    done = run(tools / tool, f"-std={standard}", "-c", file, "-o", "a.o", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_standard_of_a_source_reaches_its_compiler() -> None:
    assert "-std=c++17" in kept("-std=c++17", "-c", "a.cc", "a.S")
    assert "-std=gnu99" in kept("-std=gnu99", "-c", "a.c", "a.S")
    assert "-std=c99" in translate(["-x", "c", "-std=c99", "-c", "a.cc"], "c++")[1]
    assert "-std=c++17" in kept("-std=c++17", "-c", "a.c", behind="gcc")


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("/usr/lib/x86_64-linux-gnu/libz.so", "-lz"),
        ("/usr/lib/libusb-1.0.so.0.3.0", "-lusb-1.0"),
        ("/usr/local/lib/libfoo.a", "-lfoo"),
        ("/lib/x86_64-linux-gnu/libm.so.6", "-lm"),
    ],
)
def test_a_library_of_this_machine_that_is_named_by_its_path_means_the_robots(
    word: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert translate(["-shared", "a.o", word], "cc")[1][:3] == ["-shared", "a.o", name]
    assert f"took {name} for {word}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "word", ["/cache/libraries/libz.a", "lib/libz.a", "/usr/src/app/libz.a", "/usr/lib/crt.o"]
)
def test_libraries_of_elsewhere_are_taken_as_they_are(word: str) -> None:
    assert kept("-shared", word) == ["-shared", word]


@pytest.mark.parametrize(
    ("words", "rest"),
    [
        (["-Wl,-rpath,/usr/lib"], []),
        (["-Wl,-rpath=/home/me/lib", "-lm"], ["-lm"]),
        (["-Wl,--enable-new-dtags,-rpath,/a,-z,now"], ["-Wl,--enable-new-dtags,-z,now"]),
        (["-Wl,-rpath", "-Wl,/somewhere", "-lm"], ["-lm"]),
        (["-Wl,-R/somewhere"], []),
        (["-Wl,-L/usr/lib,-z,now"], ["-Wl,-z,now"]),
        (["-Wl,-rpath,$ORIGIN/lib"], ["-Wl,-rpath=$ORIGIN/lib"]),
        (["-Wl,-rpath", "-Wl,$ORIGIN"], ["-Wl,-rpath=$ORIGIN"]),
        (["-Wl,-rpath-link,/x"], ["-Wl,-rpath-link,/x"]),
    ],
)
def test_the_robot_does_not_look_for_libraries_where_this_machine_has_them(
    words: list[str], rest: list[str]
) -> None:
    translated = translate(["a.o", *words], "cc", "gcc")[1]
    assert translated[1 : 1 + len(rest)] == rest
    assert not {"-Wl", "-Wl,"} & set(translated)
    assert len(translated) == len(translate(["a.o", *rest], "cc", "gcc")[1])


def test_a_way_around_by_relative_paths_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/usr")
    assert kept("-Llib", "-Iinclude", "-I.", "a.c") == ["-I.", "a.c"]


@pytest.mark.parametrize(
    "folder",
    ["/usr/src/app/include", "/opt/cache/python/include", "/home/lib", "/library", "/usr", "include"],
)
def test_sources_and_the_cache_may_lie_anywhere(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert kept(f"-I{folder}", "-L", folder, "a.c") == [f"-I{folder}", "-L", folder, "a.c"]
    assert capsys.readouterr().err == ""


def test_a_recipes_optimisation_takes_the_place_of_every_other(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kept("-O3", "-c", "a.c") == ["-O3", "-c", "a.c"]
    monkeypatch.setenv("CROSSWHEEL_OPTIMIZE", "s")
    assert kept("-O3", "-O", "-Ofast", "-c", "a.c") == ["-c", "a.c"]
    assert "-Os" in added("-O3", "-c", "a.c")


def test_without_any_level_a_release_is_compiled() -> None:
    assert "-O2" in added("-c", "a.c")
    assert "-O2" not in added("-O0", "-c", "a.c")


@pytest.mark.parametrize("level", ["-O0", "-Os", "-O3"])
def test_what_is_compiled_already_is_linked_at_one_level_as_zig_makes_its_runtime_for_each(
    level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "-O2" in added(level, "-shared", "a.o", "-o", "a.so")
    assert level not in kept(level, "-shared", "a.o", "-o", "a.so")
    assert level in kept(level, "a.c", "-o", "a")
    assert level in kept(level, "a.o", "-o", "a", behind="gcc")
    monkeypatch.setenv("CROSSWHEEL_OPTIMIZE", "s")
    assert "-Os" not in added("a.o", "-o", "a")
    assert "-Os" in added("a.c", "-o", "a")


def test_symbols_are_stripped_where_something_is_linked() -> None:
    assert "-s" in added("-shared", "a.o", "-o", "a.so")
    for word in ("-c", "-E", "-S", "-M"):
        assert "-s" not in added(word, "a.c")


def test_of_two_folders_that_fit_the_later_one_is_taken_for_what_is_compiled(
    tools: Path, tmp_path: Path
) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "a.c").write_text("const char *place = __FILE__;\n")
    words = ("-c", str(tmp_path / "tree" / "a.c"), "-o", "a.o")
    places = f"{tmp_path}=/elsewhere:{tmp_path}/tree=."
    done = run(tools / "cc", *words, cwd=tmp_path, CROSSWHEEL_PREFIX_MAP=places)
    assert done.returncode == 0, done.stderr
    made = (tmp_path / "a.o").read_bytes()
    assert b"/elsewhere" not in made
    assert str(tmp_path).encode() not in made


def test_the_tree_is_not_named_in_what_is_compiled(tools: Path, tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text("const char *place = __FILE__;\n")
    words = ("-c", str(tmp_path / "a.c"), "-o", "a.o")
    done = run(tools / "cc", *words, cwd=tmp_path, CROSSWHEEL_PREFIX_MAP=f"{tmp_path}=.")
    assert done.returncode == 0, done.stderr
    assert str(tmp_path).encode() not in (tmp_path / "a.o").read_bytes()


def test_stand_ins_are_linked_last_and_only_when_linking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSWHEEL_COMPAT", "/compat.a")
    words = translate(["-shared", "a.o", "-lffi"], "cc")[1]
    assert words.index("/compat.a") > words.index("-lffi")
    assert "/compat.a" not in added("-c", "a.c")
    # An archive is none of the language that was said of the sources before it.
    words = translate(["-x", "c++", "a.inc", "-shared"], "cc")[1]
    assert words[words.index("/compat.a") - 1] == "none"


def test_response_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "args").write_text('-march=native "a file.cpp" -I/usr/include -DX')
    driver, words = translate([f"@{tmp_path / 'args'}", "-c"], "cc")
    assert driver == "c++"
    assert words[words.index("a file.cpp") :][:3] == ["a file.cpp", "-DX", "-c"]
    assert kept("@absent") == ["@absent"]


def test_the_tools_have_the_names_that_builds_look_for(tools: Path) -> None:
    names = {path.name for path in tools.iterdir()}
    assert {"cc", "c++", "ar", "ranlib", "objcopy", "host-cc", "host-c++"} <= names
    assert {f"arm-linux-gnueabihf-{name}" for name in ("gcc", "g++", "ar", "ranlib", "objcopy")} <= names
    assert all(os.access(path, os.X_OK) for path in tools.iterdir())


def test_a_program_for_musl_is_never_linked_statically(tmp_path: Path) -> None:
    ot2 = targets.load("ot2")
    abi = ot2.abi.model_copy(update={"glibc": "", "musl": "1.2.3"})
    names = ot2.toolchain.model_copy(update={"zig": "arm-linux-musleabihf"})
    musl = ot2.model_copy(update={"abi": abi, "toolchain": names})
    text = (zig_compilers(musl, tmp_path).folder / "cc").read_text()
    assert "arm-linux.4.14.98-musleabihf" in text
    said = subprocess.run(
        ["sh", "-c", text.replace("exec ", "printf '%s\n' ", 1), "cc", "-static", "-c", "two words.c"],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    assert said[-3:] == ["-dynamic", "-c", "two words.c"]
    assert "-static" not in said


def test_tools_are_made_once(compilers: Compilers) -> None:
    assert zig_compilers(OT2, compilers.folder.parents[1]) == compilers


def test_what_compilers_make_is_named_alike_wherever_they_lie(compilers: Compilers, tmp_path: Path) -> None:
    elsewhere = zig_compilers(OT2, tmp_path)
    assert elsewhere.folder != compilers.folder
    assert elsewhere.identity == compilers.identity
    assert zig_compilers(targets.load("flex"), tmp_path).identity != compilers.identity


def test_meson_learns_who_links(tools: Path) -> None:
    for words in (["-Wl,--version"], ["-Wl,--version", "-O2"]):
        done = run(tools / "cc", *words)
        assert done.returncode == 0
        assert done.stdout.startswith("LLD ")


def test_a_source_on_standard_input_is_compiled_for_the_robot(tools: Path, tmp_path: Path) -> None:
    done = run(tools / "cc", "-E", "-dM", "-", cwd=tmp_path, given="#define MINE 1\n")
    macros = dict(line.split(" ", 2)[1:] for line in done.stdout.splitlines() if line.count(" ") >= 2)
    assert macros["MINE"] == "1"
    assert macros["__ARM_ARCH"] == "7"
    assert macros["__SIZEOF_POINTER__"] == "4"
    assert macros["__ARM_PCS_VFP"] == "1"


def test_standard_input_may_be_cxx(tools: Path, tmp_path: Path) -> None:
    done = run(tools / "c++", "-E", "-x", "c++", "-", cwd=tmp_path, given="__cplusplus")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "201703L"


def test_nothing_is_left_of_what_was_on_standard_input(tools: Path, tmp_path: Path) -> None:
    run(tools / "cc", "-E", "-", cwd=tmp_path, given="1", TMPDIR=str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_the_host_compiler_is_for_this_machine_and_untouched_by_recipes(tools: Path, tmp_path: Path) -> None:
    macros = run(
        tools / "host-cc", "-E", "-dM", "-x", "c", os.devnull, cwd=tmp_path, CROSSWHEEL_OPTIMIZE="0"
    ).stdout
    assert "#define __SIZEOF_POINTER__ 8" in macros
    assert "#define __OPTIMIZE__ 1" in macros


def test_an_object_is_for_the_robot_and_keeps_no_debugging_symbols(tools: Path, tmp_path: Path) -> None:
    from elftools.elf.elffile import ELFFile

    (tmp_path / "a.c").write_text("int answer(void) { return 42; }\n")
    done = run(tools / "cc", "-g", "-march=native", "-c", "a.c", "-o", "a.o", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with (tmp_path / "a.o").open("rb") as stream:
        found = ELFFile(stream)
        assert (found.get_machine_arch(), found.elfclass) == ("ARM", 32)
        assert not [section.name for section in found.iter_sections() if "debug" in section.name]


def test_code_may_not_count_on_instructions_that_the_robots_processor_lacks(tools: Path) -> None:
    # The emulator has them, so that only the robot would tell.
    said = run(tools / "cc", "-dM", "-E", "-", given="").stdout
    assert "__ARM_NEON 1" in said
    assert not [line for line in said.splitlines() if "_AES" in line or "_CRYPTO" in line or "_SHA2" in line]


def test_the_compilers_failure_is_the_builds(tools: Path, tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text("#error no\n")
    done = run(tools / "cc", "-c", "a.c", cwd=tmp_path)
    assert done.returncode != 0
    assert "no" in done.stderr


def test_only_a_program_that_configure_may_run_is_a_probe() -> None:
    assert is_probe(["-O2", "conftest.c", "-o", "conftest", "-lm"])
    for other in (
        "-c conftest.c -o conftest",
        "-shared a.o -o conftest",
        "a.c -o a",
        "conftest.c",
        "-E -o conftest a.c",
    ):
        assert not is_probe(other.split()), other
