"""Every way to compile an extension, from a source tree to a call on the emulated robot."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest

from crosswheel.check.elf import audit, unstripped
from crosswheel.check.suitability import suitability
from crosswheel.errors import BuildFailed
from crosswheel.wheels.reading import WheelFile
from support import projects
from support.crossing import Crossing, crossing_for
from support.projects import Files

CALLS = "import _demo; print(_demo.bits(), _demo.add(40, 2), _demo.__file__.rsplit('/')[-1])"
ANSWERS = ["32 42 _demo.cpython-310-arm-linux-gnueabihf.so"]


@pytest.fixture(scope="module")
def crossing(tmp_path_factory: pytest.TempPathFactory) -> Crossing:
    return crossing_for(tmp_path_factory.mktemp("crossing"))


@pytest.fixture
def ot2(crossing: Crossing, tmp_path: Path) -> Crossing:
    return crossing.in_folder(tmp_path)


def faults(wheel: Path, crossing: Crossing) -> list[str]:
    opened = WheelFile.open(wheel)
    found = [*suitability(opened, crossing.target), *audit(opened, crossing.target, crossing.system)[1]]
    return [f.message for f in found] + unstripped(opened)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (projects.c_project(), {}),
        (projects.cxx_project(), {"setup_py_commands": ("bdist_wheel",)}),
        (projects.lenient_project(), {}),
        (projects.makefile_project(), {}),
        (projects.cython_project(), {}),
        (projects.pybind11_project(), {}),
        (projects.nanobind_project(), {}),
        (projects.numpy_cmake_project(), {}),
        (projects.rust_project(), {}),
        (projects.fortran_project(), {}),
        (projects.fortran_cmake_project(), {}),
        (projects.openblas_project(), {"libraries": ("openblas",)}),
    ],
    ids=[
        "C",
        "C++ by setup.py",
        "C++ for GCC, optimised at link time",
        "C by a Makefile for gcc",
        "Cython",
        "pybind11",
        "nanobind by CMake",
        "numpy by CMake",
        "Rust",
        "Fortran by Meson",
        "Fortran by CMake",
        "BLAS and LAPACK",
    ],
)
def test_an_extension_is_compiled_for_the_robot_and_works_there(
    ot2: Crossing, files: Files, said: dict[str, object]
) -> None:
    wheel = ot2.build(files, said=said)
    assert wheel.name == "demo-1.0-cp310-cp310-linux_armv7l.whl"
    assert faults(wheel, ot2) == []
    assert ot2.run(CALLS, wheel).lines == ANSWERS


def test_cffi_writes_and_compiles_on_the_machine_that_builds(ot2: Crossing) -> None:
    wheel = ot2.build(projects.cffi_project())
    assert wheel.name in ("demo-1.0-cp310-cp310-linux_armv7l.whl", "demo-1.0-cp37-abi3-linux_armv7l.whl")
    assert faults(wheel, ot2) == []


@pytest.mark.parametrize(
    "files",
    [projects.maturin_project(), projects.maturin_project("0.14.17"), projects.vendored_project()],
    ids=["no crate", "by a maturin before 0.15", "crate in the sdist"],
)
def test_a_program_in_rust_by_maturin_runs_on_the_robot(ot2: Crossing, files: Files) -> None:
    wheel = ot2.build(files)
    assert wheel.name == "demo-1.0-py3-none-linux_armv7l.whl"
    with zipfile.ZipFile(wheel) as archive:
        program = Path(archive.extract("demo-1.0.data/scripts/demo", ot2.folder))
    program.chmod(0o755)
    assert ot2.runner.run([*ot2.emulator.prefix, program]).lines == ["32 bits"]


def test_the_lock_of_a_workspace_serves_an_sdist_that_has_only_a_part_of_it(ot2: Crossing) -> None:
    ot2.build(projects.maturin_workspace(uses_crate=False))
    assert "dependencies" not in (ot2.folder / "unpack" / "demo-1.0" / "Cargo.lock").read_text()


def test_a_lock_that_does_not_name_all_crates_is_refused(ot2: Crossing) -> None:
    files = {
        **projects.maturin_workspace(uses_crate=True),
        "Cargo.lock": projects.maturin_project()["Cargo.lock"],
    }
    with pytest.raises(BuildFailed, match=r"does not name all the crates .* missing: helper 1\.0\.0"):
        ot2.build(files)


def test_a_crate_that_lies_in_a_repository_out_of_reach_is_named(ot2: Crossing) -> None:
    files = dict(projects.maturin_project())
    del files["Cargo.lock"]
    files["Cargo.toml"] += "[dependencies]\nfar = { git = 'http://127.0.0.1:9/far' }\n"
    with pytest.raises(BuildFailed, match=r"registry but at http://127\.0\.0\.1:9/far"):
        ot2.build(files)


def test_the_same_project_gives_the_same_bytes_in_any_folder(ot2: Crossing, tmp_path: Path) -> None:
    built = [
        ot2.in_folder(tmp_path / name).build(projects.cxx_project()) for name in ("first", "other/deeper")
    ]
    first, second = (wheel.read_bytes() for wheel in built)
    assert first == second
    assert str(tmp_path).encode() not in b"".join(contents(built[0]).values())


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_headers_and_libraries_of_this_machine_cannot_slip_in(
    ot2: Crossing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither by options of the build nor by variables of whoever builds."""
    poison = tmp_path / "poison"
    poison.mkdir()
    (poison / "poison.h").touch()
    for variable in ("CPATH", "C_INCLUDE_PATH", "LIBRARY_PATH", "LD_LIBRARY_PATH"):
        monkeypatch.setenv(variable, str(poison))
    for variable in ("CFLAGS", "CPPFLAGS", "LDFLAGS"):
        monkeypatch.setenv(variable, "-DPOISON --poison")
    leaks = ("defined(POISON)", '__has_include("poison.h")', '__has_include("x86_64-linux-gnu/sys/cdefs.h")')
    check = f"#if {' || '.join(leaks)}\n#error\n#endif\n"
    extension = (
        'Extension("_demo", ["demo.c"], include_dirs=["/usr/include", "/usr/local/include"], '
        'library_dirs=["/usr/lib/x86_64-linux-gnu"], libraries=["m"], extra_compile_args=["-march=native", "-m64"])'
    )
    files = {
        **projects.c_project(),
        "setup.py": projects.setup_py(extension),
        "demo.c": check + projects.C_SOURCE,
    }
    wheel = ot2.build(files)
    log = (ot2.folder / "log").read_text()
    for folder in ("-I/usr/include", "-I/usr/local/include", "-L/usr/lib/x86_64-linux-gnu"):
        assert f"left out {folder}: a folder of the machine that builds" in log
    assert ot2.run(CALLS, wheel).lines == ANSWERS


# Files that every Linux has, where its own compilers look for libraries.
HOST_FOLDERS = [
    "/lib",
    "/usr/lib",
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib64",
    "/usr/lib64",
]


def test_a_library_of_this_machine_is_not_linked_by_its_path(ot2: Crossing) -> None:
    """Where the robot has none of that name, the build fails, and tells which one it wants."""
    words = ["/usr/lib/x86_64-linux-gnu/libyaml-0.so.2", "-Wl,-L/usr/lib", "-Wl,-rpath,/usr/lib"]
    files = {
        **projects.c_project(),
        "setup.py": projects.setup_py(f'Extension("_demo", ["demo.c"], extra_link_args={words})'),
    }
    with pytest.raises(BuildFailed, match="the C library yaml-0 was not found"):
        ot2.build(files)
    log = (ot2.folder / "log").read_text()
    assert "took -lyaml-0 for /usr/lib/x86_64-linux-gnu/libyaml-0.so.2" in log
    assert "left out -L/usr/lib: a folder of the machine that builds" in log
    assert "left out -rpath=/usr/lib: a folder of the machine that builds" in log


def test_where_a_build_names_this_machines_library_the_robots_is_linked(
    ot2: Crossing, tmp_path: Path
) -> None:
    source = "#include <yaml.h>\n" + projects.C_SOURCE.replace(
        "return a + b;", "return a + b + !yaml_get_version_string();"
    )
    library = "/usr/lib/x86_64-linux-gnu/libyaml.so"
    setup = projects.setup_py(f'Extension("_demo", ["demo.c"], extra_objects=["{library}"])')
    files = {**projects.c_project(), "demo.c": source, "setup.py": setup}
    wheel = ot2.build(files, said={"libraries": ("libyaml",)})
    assert faults(wheel, ot2) == []
    assert ot2.run(CALLS, wheel).lines == ANSWERS


def test_cmake_finds_nothing_of_this_machine(ot2: Crossing) -> None:
    """Neither when it looks itself, nor when the project tells it where."""
    commands = f"""
        find_library(FOUND NAMES libc.so.6 libm.so.6 PATHS {" ".join(HOST_FOLDERS)})
        find_path(HEADER NAMES stdio.h linux/limits.h PATHS /usr/include /usr/local/include)
        find_file(FILE NAMES libc.so.6 os-release PATHS {" ".join(HOST_FOLDERS)})
        if(FOUND OR HEADER OR FILE)
            message(FATAL_ERROR "of the host: ${{FOUND}} ${{HEADER}} ${{FILE}}")
        endif()
    """
    wheel = ot2.build(projects.cmake_project(commands))
    assert faults(wheel, ot2) == []
    assert ot2.run(CALLS, wheel).lines == ANSWERS


def test_pkg_config_finds_nothing_of_this_machine(
    ot2: Crossing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither what lies in its own folders, nor what a variable of whoever builds leads to."""
    (tmp_path / "poison.pc").write_text("Name: poison\nDescription: x\nVersion: 1\nLibs: -lpoison\n")
    for variable in ("PKG_CONFIG_PATH", "PKG_CONFIG_LIBDIR"):
        monkeypatch.setenv(variable, str(tmp_path))
    folders = [f"{folder}/pkgconfig" for folder in (*HOST_FOLDERS, "/usr/share", "/usr/local/lib")]
    ask = (
        "import pathlib, shutil, subprocess\n"
        f"names = [path.stem for folder in {folders} for path in pathlib.Path(folder).glob('*.pc')]\n"
        "for name in ['poison', *names]:\n"
        "    program = shutil.which('pkg-config')\n"
        "    assert not program or subprocess.run([program, '--exists', name]).returncode, name\n"
    )
    wheel = ot2.build({**projects.c_project(), "setup.py": ask + projects.setup_py()})
    assert faults(wheel, ot2) == []


# As autoconf writes them: what is not known to be for another machine is tried, and so are its probes then.
CONFIGURE = """\
cross_compiling=no
. "$CONFIG_SITE"
echo 'int main(int n, char **word) { return 8 * (int) sizeof(void *) + n; }' > conftest.c
"$CC" conftest.c -o conftest || exit 1
if test "$cross_compiling" != yes; then
    ./conftest one two
    test $? = 35 && cross_compiling=no || cross_compiling=yes
fi
rm -f conftest conftest.*
test "$cross_compiling" = no
"""


def test_a_configure_scripts_probe_runs_as_on_the_robot(ot2: Crossing) -> None:
    ask = "import subprocess\nsubprocess.run(['sh', './configure'], check=True)\n"
    files = {**projects.c_project(), "configure": CONFIGURE, "setup.py": ask + projects.setup_py()}
    assert faults(ot2.build(files), ot2) == []


def test_a_build_has_no_network(ot2: Crossing) -> None:
    """What a build downloads is neither locked nor verified."""
    dial = "import socket\nsocket.create_connection(('127.0.0.1', 9), 1)\n"
    files = {**projects.c_project(), "setup.py": dial + projects.setup_py()}
    with pytest.raises(BuildFailed) as caught:
        ot2.build(files)
    assert re.search("refused|unreachable|not permitted", caught.value.message)


def test_a_program_that_fails_to_compile_is_told_with_the_compilers_words(ot2: Crossing) -> None:
    files = {**projects.c_project(), "demo.c": "#error no such thing\n"}
    with pytest.raises(BuildFailed, match="no such thing") as caught:
        ot2.build(files)
    assert str(ot2.folder / "log") in caught.value.hint


def test_a_backend_that_is_not_there_is_told(ot2: Crossing) -> None:
    files = {"pyproject.toml": projects.pyproject(projects.SETUPTOOLS, backend="nobody.knows")}
    with pytest.raises(BuildFailed, match=r"nobody\.knows") as caught:
        ot2.build(files)
    assert "build_dependencies" in caught.value.hint


def test_a_wheel_for_another_machine_is_not_taken_for_one(ot2: Crossing) -> None:
    """A backend that does not ask Python what it builds for gives itself away by the tag."""
    options = ", options={'bdist_wheel': {'plat_name': 'linux_x86_64'}}"
    with pytest.raises(BuildFailed, match=r"linux_x86_64\.whl, which ot2 does not install"):
        ot2.build({**projects.c_project(), "setup.py": projects.setup_py(more=options)})


def test_a_setup_py_that_makes_no_wheel_is_told(ot2: Crossing) -> None:
    with pytest.raises(BuildFailed, match="made no wheel") as caught:
        ot2.build(projects.c_project(), said={"setup_py_commands": ("build_ext",)})
    assert "bdist_wheel" in caught.value.hint


def test_what_the_recipe_says_reaches_the_build(ot2: Crossing) -> None:
    files = {
        **projects.c_project(),
        "demo.c": "#ifndef __OPTIMIZE_SIZE__\n#error\n#endif\n" + projects.C_SOURCE,
        "setup.py": "import os, sys\nassert os.environ['WISH'] == 'granted'\nimport more_itertools\n"
        + projects.setup_py(),
    }
    said = {
        "environment": {"WISH": "granted"},
        "optimize": "s",
        "build_dependencies": ("more-itertools==10.6.0",),
    }
    assert ot2.run(CALLS, ot2.build(files, said=said)).lines == ANSWERS
