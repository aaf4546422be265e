"""What a wheel brings along: shared libraries that it was linked with, and the licences of all that is in it."""

from __future__ import annotations

import re
import shutil
import zipfile
from pathlib import Path

import pytest

from crosswheel.build import finish
from crosswheel.check.elf import audit
from crosswheel.check.suitability import suitability
from crosswheel.toolchain.libraries.linking import Library
from crosswheel.wheels.reading import WheelFile
from support import projects
from support.crossing import Crossing, crossing_for
from support.wheels import make_wheel

CALLS = "import _demo; print(_demo.bits(), _demo.add(40, 2))"


@pytest.fixture(scope="module")
def crossing(tmp_path_factory: pytest.TempPathFactory) -> Crossing:
    return crossing_for(tmp_path_factory.mktemp("crossing"))


@pytest.fixture(scope="module")
def library(crossing: Crossing, tmp_path_factory: pytest.TempPathFactory) -> Library:
    """A library that needs another one, both shared; a third is there and nobody needs it."""
    prefix = tmp_path_factory.mktemp("prefix")
    (prefix / "lib").mkdir()
    sources = {
        "low-1.5": "int low(void) { return 0; }",
        "high": "int low(void); int high(void) { return low(); }",
    }
    sources["idle"] = "int idle(void) { return 1; }"
    for name, text in sources.items():
        (prefix / f"{name}.c").write_text(text)
        words = [
            "-shared",
            "-fPIC",
            f"-Wl,-soname,lib{name}.so.2",
            f"{name}.c",
            "-o",
            f"lib/lib{name}.so.2.0",
        ]
        words += ["-Llib", "-llow-1.5"] if name == "high" else []
        compilers = crossing.toolchain.compilers
        crossing.runner.run([compilers.folder / "cc", *words], cwd=prefix, env=compilers.environment)
        (prefix / f"lib/lib{name}.so.2").symlink_to(f"lib{name}.so.2.0")
        (prefix / f"lib/lib{name}.so").symlink_to(f"lib{name}.so.2")
    (prefix / "copyright-high").write_text("You may use it.\n")
    return Library("high", prefix, {}, {})


def linked(crossing: Crossing, folder: Path, library: Library) -> Path:
    """Build a wheel, of a package in a package, that was linked with the library."""
    source = "int high(void);\n" + projects.C_SOURCE.replace("return a + b;", "return a + b + high();")
    seen = folder / "prefix"  # a build sees its own folder, and what it was told to link
    shutil.copytree(library.prefix, seen, symlinks=True)
    extension = f'Extension("_demo", ["demo.c"], libraries=["high"], library_dirs=["{seen / "lib"}"])'
    files = {**projects.c_project(), "demo.c": source, "setup.py": projects.setup_py(extension)}
    return crossing.in_folder(folder).build(files)


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in sorted(archive.namelist())}


def faults(wheel: Path, crossing: Crossing) -> list[str]:
    opened = WheelFile.open(wheel)
    found = [*suitability(opened, crossing.target), *audit(opened, crossing.target, crossing.system)[1]]
    return [f.message for f in found]


def test_shared_libraries_go_into_the_wheel_under_names_of_their_own(
    crossing: Crossing, library: Library, tmp_path: Path
) -> None:
    wheel = linked(crossing, tmp_path, library)
    assert faults(wheel, crossing) == [
        "it needs the library libhigh.so.2, and neither Opentrons OT-2 nor the wheel has it"
    ]
    before = wheel.read_bytes()
    finish(wheel, [library], crossing.runner)
    assert faults(wheel, crossing) == []
    members = WheelFile.open(wheel).members
    bundled = [name for name in members if name.startswith("demo.libs/")]
    assert len(bundled) == 2
    assert re.fullmatch(r"demo\.libs/libhigh-[0-9a-f]{8}\.so\.2", bundled[0])
    assert re.fullmatch(r"demo\.libs/liblow-1\.5-[0-9a-f]{8}\.so\.2", bundled[1])
    assert members[-1] == "demo-1.0.dist-info/RECORD"
    assert crossing.in_folder(tmp_path).run(CALLS, wheel).lines == ["32 42"]

    finished = wheel.read_bytes()
    wheel.write_bytes(before)
    finish(wheel, [library], crossing.runner)
    assert wheel.read_bytes() == finished


def test_a_module_deep_in_packages_finds_them_too(
    crossing: Crossing, library: Library, tmp_path: Path
) -> None:
    wheel = linked(crossing, tmp_path, library)
    with zipfile.ZipFile(wheel) as archive:
        (member,) = (name for name in archive.namelist() if name.endswith(".so"))
        data = archive.read(member)
    files = {f"demo/deep/{member}": data, "demo/__init__.py": b"", "demo/deep/__init__.py": b""}
    files["demo-1.0.data/platlib/other/" + member] = data
    deep = make_wheel(tmp_path / "deep", "demo", "1.0", files, tag="cp310-cp310-linux_armv7l")
    finish(deep, [library], crossing.runner)
    assert faults(deep, crossing) == []
    programs = [f"from {place} import _demo; print(_demo.add(40, 2))" for place in ("demo.deep", "other")]
    here = crossing.in_folder(tmp_path / "deep")
    assert here.run(programs[0], deep).lines == ["42"]
    assert here.run(programs[1]).lines == ["42"]


def test_licences_come_along_with_what_is_in_the_wheel(crossing: Crossing, tmp_path: Path) -> None:
    """Also of a library that is linked in statically; the recipe names it, and nothing else is needed."""
    wheel = crossing.in_folder(tmp_path).build(projects.c_project(), said={"libraries": ("libyaml",)})
    opened = WheelFile.open(wheel)
    texts = [name for name in opened.members if "/licenses/" in name]
    assert "demo-1.0.dist-info/licenses/libyaml/copyright-libyaml-dev" in texts
    assert b"Kirill Simonov" in opened.read("demo-1.0.dist-info/licenses/libyaml/copyright-libyaml-dev")


def test_a_wheel_without_compiled_code_keeps_its_content(
    crossing: Crossing, library: Library, tmp_path: Path
) -> None:
    wheel = make_wheel(tmp_path, "pure", "1.0", {"pure.py": b""})
    before = contents(wheel)
    finish(wheel, [library], crossing.runner)
    assert contents(wheel) == before


def test_a_wheel_that_cannot_be_changed_stays_as_it_was(
    crossing: Crossing, library: Library, tmp_path: Path
) -> None:
    wheel = linked(crossing, tmp_path, library)
    before = wheel.read_bytes()
    broken = shutil.copytree(library.prefix, tmp_path / "broken", symlinks=True)
    (broken / "lib/libhigh.so.2.0").write_bytes(b"no library")
    with pytest.raises(Exception, match="patchelf ended with exit code"):
        finish(wheel, [Library("high", broken, {}, {})], crossing.runner)
    assert wheel.read_bytes() == before
    assert [path.name for path in wheel.parent.iterdir()] == [wheel.name]


def test_cxx_brings_its_standard_library_inside(crossing: Crossing, tmp_path: Path) -> None:
    """So that it does not matter how old the robot's is."""
    wheel = crossing.in_folder(tmp_path).build(projects.cxx_project())
    (audited,) = audit(WheelFile.open(wheel), crossing.target, crossing.system)[0]
    assert "libstdc++.so.6" not in audited.needed
    assert not {"GLIBCXX", "CXXABI"} & set(audited.newest)
    kept = crossing.settings.cache.glob("zig/o/*/libc++.a")
    assert list(kept), "each build compiles zig's C++ library anew, which takes over a minute"


DECK_SETUP = """
import os, pathlib, subprocess
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

class Build(build_ext):
    def build_extensions(self):
        folder = pathlib.Path(self.build_lib).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        words = [os.environ["CXX"], "-shared", "-fPIC", "deck.cpp", "-o", folder / "libdeck.so"]
        subprocess.run(words, check=True)
        self.extensions[0].library_dirs.append(str(folder))
        super().build_extensions()

extension = Extension("_demo", ["demo.cpp"], libraries=["deck"], extra_link_args=["-Wl,-rpath,$ORIGIN"])
setup(name="demo", version="1.0", py_modules=[], cmdclass={"build_ext": Build}, ext_modules=[extension])
"""
DECK_HEADER = """
#include <stdexcept>
struct Labware { virtual ~Labware(); };
struct Plate : Labware { int wells = 96; ~Plate() override; };
struct Crash : std::runtime_error { using std::runtime_error::runtime_error; };
Labware *find(int slot);
"""
DECK = """
#include <sstream>
#include "deck.h"
Labware::~Labware() {}
Plate::~Plate() {}
Labware *find(int slot) {
    static Plate plate;
    std::ostringstream told;  // has to be cleaned up while an exception passes
    told << "no slot " << slot;
    if (slot > 11) throw std::out_of_range(told.str());
    if (slot > 9) throw Crash(told.str());
    return &plate;
}
"""
DECK_MODULE = """
#include <Python.h>
#include "deck.h"
static PyObject *wells(PyObject *, PyObject *slot) {
    try {
        const Plate *plate = dynamic_cast<const Plate *>(find((int)PyLong_AsLong(slot)));
        return PyLong_FromLong(plate ? plate->wells : 0);
    } catch (const Crash &crash) {
        PyErr_SetString(PyExc_RuntimeError, crash.what());
    } catch (const std::logic_error &error) {
        PyErr_SetString(PyExc_IndexError, error.what());
    }
    return nullptr;
}
static PyMethodDef functions[] = {{"wells", wells, METH_O, nullptr}, {nullptr, nullptr, 0, nullptr}};
static PyModuleDef module = {PyModuleDef_HEAD_INIT, "_demo", nullptr, -1, functions};
PyMODINIT_FUNC PyInit__demo() { return PyModule_Create(&module); }
"""


def test_an_exception_of_one_shared_object_is_caught_in_another(crossing: Crossing, tmp_path: Path) -> None:
    """Each has a C++ runtime of its own inside, and knew types by their addresses: Python was aborted."""
    files = {**projects.c_project(), "setup.py": DECK_SETUP, "deck.h": DECK_HEADER, "deck.cpp": DECK}
    built = crossing.in_folder(tmp_path)
    wheel = built.build({**files, "demo.cpp": DECK_MODULE})
    asks = """
import _demo
for slot in 1, 10, 12:
    try:
        print(_demo.wells(slot))
    except Exception as error:
        print(type(error).__name__, error)
"""
    assert built.run(asks, wheel).lines == ["96", "RuntimeError no slot 10", "IndexError no slot 12"]
