"""`crosswheel check`: of wheels from anywhere, which would fail on the robot is said, and what was not proven."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import projects
from support.command_line import CommandLine, command_line
from support.crossing import Crossing, crossing_for
from support.objects import Compiler
from support.wheels import make_wheel


@pytest.fixture(scope="module")
def crossing(tmp_path_factory: pytest.TempPathFactory) -> Crossing:
    return crossing_for(tmp_path_factory.mktemp("view"))


@pytest.fixture(scope="module")
def compiled(crossing: Crossing, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel with an extension module, built for the robot."""
    return crossing.in_folder(tmp_path_factory.mktemp("compiled")).build(projects.c_project())


@pytest.fixture(scope="module")
def needy(crossing: Crossing, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel whose extension module imports one of another package."""
    folder = tmp_path_factory.mktemp("needy")
    wanted = '{ if (!PyImport_ImportModule("helper")) return NULL; return PyModule_Create(&module); }'
    source = projects.C_SOURCE.replace("{ return PyModule_Create(&module); }", wanted)
    assert wanted in source
    return crossing.in_folder(folder).build({**projects.c_project(), "demo.c": source})


@pytest.fixture
def line(tmp_path: Path) -> Iterator[CommandLine]:
    with command_line(tmp_path) as line:
        yield line


def module_of(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        (member,) = (name for name in archive.namelist() if name.endswith(".so"))
        return archive.read(member)


def test_what_of_a_wheel_is_not_as_the_standards_have_it_is_told(line: CommandLine) -> None:
    tags = (
        b"Wheel-Version: 1.0\nGenerator: none\nRoot-Is-Purelib: true\nTag: py2-none-any\nTag: py3-none-any\n"
    )
    odd = make_wheel(line.folder, "odd", "1.0", {"odd.py": b""}, dist_info={"WHEEL": tags})
    done = line.run("check", str(odd))
    assert done.returncode == 0, done.output
    assert "warning: odd-1.0-py3-none-any.whl: " in done.words


def test_wheels_that_work_are_told_to(line: CommandLine, compiled: Path) -> None:
    pure = make_wheel(line.folder, "pure", "1.0", {"pure.py": b""})
    done = line.run("check", str(compiled), str(pure))
    assert (done.returncode, done.words) == (
        0,
        "2 wheels without fault for Opentrons OT-2; nothing was run, as --run would",
    )
    done = line.run("check", "--run", str(compiled), str(pure))
    assert (done.returncode, done.words) == (
        0,
        "2 wheels without fault for Opentrons OT-2; 2 modules imported",
    )


def test_each_wheel_that_would_fail_is_named_with_its_fault(line: CommandLine, compiled: Path) -> None:
    spoilt = line.folder / "spoilt-1.0-py3-none-any.whl"
    spoilt.write_bytes(b"not a zip")
    files = {"_demo.cpython-310-arm-linux-gnueabihf.so": module_of(compiled)}
    elsewhere = make_wheel(line.folder, "elsewhere", "1.0", files, tag="cp310-cp310-linux_x86_64")
    done = line.run("check", "--run", str(compiled), str(spoilt), str(elsewhere))
    assert done.returncode == 1
    assert "spoilt-1.0-py3-none-any.whl: " in done.words
    assert "is not a zip file" in done.words
    assert "elsewhere-1.0-cp310-cp310-linux_x86_64.whl: none of its tags is one that" in done.words
    assert "demo-1.0" not in done.output
    assert "Traceback" not in done.output


def test_a_wheel_that_is_not_there_is_a_mistake_of_the_command(line: CommandLine, compiled: Path) -> None:
    done = line.run("check", str(compiled), "absent.whl")
    assert done.returncode == 2
    assert "file 'absent.whl' does not exist" in done.words


def test_a_module_that_crashes_is_found_by_running_it_alone(
    line: CommandLine, crossing: Crossing, tmp_path: Path
) -> None:
    crash = "{ *(volatile int *) 8 = 1; return PyModule_Create(&module); }"
    source = projects.C_SOURCE.replace("{ return PyModule_Create(&module); }", crash)
    (tmp_path / "crash").mkdir()
    wheel = crossing.in_folder(tmp_path / "crash").build({**projects.c_project(), "demo.c": source})
    assert line.run("check", str(wheel)).returncode == 0
    done = line.run("check", "--run", str(wheel))
    assert done.returncode == 1
    assert "module _demo does not load on the target (segmentation fault)" in done.words


def test_what_was_not_imported_for_want_of_another_wheel_is_said(line: CommandLine, needy: Path) -> None:
    alone = line.run("check", "--run", str(needy))
    assert alone.returncode == 0
    assert (
        "warning: _demo was not imported: it cannot be imported by itself: No module named 'helper' (name"
        in alone.words
    )
    assert "1 wheel without fault for Opentrons OT-2; 0 modules imported" in alone.words
    helper = make_wheel(line.folder, "helper", "1.0", {"helper.py": b""})
    both = line.run("check", "--run", str(needy), str(helper))
    assert both.words == "2 wheels without fault for Opentrons OT-2; 2 modules imported"


def test_what_the_emulated_python_lacks_is_said(line: CommandLine, compiled: Path) -> None:
    pythons = line.cache / "python"
    kept = [
        path for path in pythons.resolve().iterdir() if not path.name.endswith(("-_sqlite3", "-completed"))
    ]
    pythons.unlink()
    pythons.mkdir()
    for path in kept:
        (pythons / path.name).symlink_to(path)
    done = line.run("check", "--run", str(compiled), CROSSWHEEL_OFFLINE="1")
    assert done.returncode == 0
    assert "warning: _sqlite3, which Opentrons OT-2's Python has, could not be made" in done.words


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"pure/sub.py": b"type X = int"}, "module pure.sub cannot work with Python 3.10: line 1: "),
        ({"pure/sub.py": b"from typing import Self"}, "it imports typing.Self, which is new in Python 3.11"),
        ({"pure/sub.py": b"import tomllib"}, "it imports tomllib, which is new in Python 3.11"),
    ],
)
def test_a_pure_wheel_for_a_newer_python_is_found_unimported(
    line: CommandLine, files: dict[str, bytes], told: str
) -> None:
    wheel = make_wheel(line.folder, "pure", "1.0", {"pure/__init__.py": b"", **files})
    done = line.run("check", str(wheel))
    assert (done.returncode, told in done.words) == (1, True), done.output


def test_a_wheel_that_ends_every_python_is_found_by_running_it(line: CommandLine) -> None:
    pth = {"pure/__init__.py": b"", "pure.pth": b"import os; os._exit(3)"}
    wheel = make_wheel(line.folder, "pure", "1.0", pth)
    done = line.run("check", "--run", str(wheel))
    assert "Python does not start with it on the target (exit code 3)" in done.words
    assert done.returncode == 1


NATIVE = "cp310-cp310-linux_armv7l"


def library(folder: Path, constructor: str) -> bytes:
    """Return a shared object that does something when it is loaded."""
    source = f"__attribute__((constructor)) static void begin(void) {{ {constructor} }}"
    return Compiler(folder).shared(source)


def test_the_emulated_cpu_and_kernel_are_the_robots(line: CommandLine) -> None:
    """What asks for more is told that it is not there, as on the robot."""
    ask = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
libc.getauxval.restype = ctypes.c_ulong
AT_HWCAP2, CLOSE_RANGE, ENOSYS = 26, 436, 38
assert os.uname().release == "4.14.98", os.uname()
assert libc.getauxval(AT_HWCAP2) & 0b1111 == 0, "AES, PMULL, SHA-1 or SHA-2"
assert (libc.syscall(CLOSE_RANGE, 1000, 1001, 0), ctypes.get_errno()) == (-1, ENOSYS)
"""
    wheel = make_wheel(line.folder, "asking", "1.0", {"asking.py": ask.encode()})
    done = line.run("check", "--run", str(wheel))
    assert done.returncode == 0, done.output


def test_a_library_that_no_module_loads_is_opened_on_the_robots_cpu(line: CommandLine) -> None:
    """It is written for a CPU with AES, and would end a program on the robot; its place has a blank."""
    aes = library(line.folder, '__asm__(".arch armv8-a\\n.fpu crypto-neon-fp-armv8\\naese.8 q0, q1");')
    files = {"aes/__init__.py": b"", "aes/data dir/libaes.so": aes}
    done = line.run("check", "--run", str(make_wheel(line.folder, "aes", "1.0", files, tag=NATIVE)))
    assert done.returncode == 1
    assert (
        "shared object aes/data dir/libaes.so does not load on the target (illegal instruction)" in done.words
    )
    files["aes/data dir/libaes.so"] = library(line.folder, "")
    done = line.run("check", "--run", str(make_wheel(line.folder, "aes", "1.0", files, tag=NATIVE)))
    assert done.returncode == 0, done.output
