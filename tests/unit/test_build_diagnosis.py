"""A failed build names its cause, shows the lines that matter, and says what to try."""

from __future__ import annotations

import pytest

from crosswheel.build.diagnosis import diagnose, library_done_without

_NOISE = "copying a.py -> build/a.py\n" * 50


@pytest.mark.parametrize(
    ("said", "cause", "remedy"),
    [
        ("src/x.c:3:10: fatal error: 'ffi.h' file not found", "ffi.h", '"libffi"'),
        ("x.c:1:10: fatal error: libxml/xpath.h: No such file or directory", "libxml/xpath.h", "libraries="),
        ("error: unable to find dynamic system library 'yaml' using strategy", "yaml", '"libyaml"'),
        ("ld.lld: error: unable to find library -lssl", "ssl", '"openssl"'),
        ('error: unable to find dynamic system library "usb-1.0" using strategy', "usb-1.0", "libraries="),
        ("ModuleNotFoundError: No module named 'pkg_resources'", "older setuptools", "setuptools<82"),
        ("No package 'libzmq' found", "libzmq", '"libzmq"'),
        ("Package 'yaml-0.1' not found", "yaml-0.1", '"libyaml"'),
        ("Package 'mysqlclient' not found", "mysqlclient", '"mariadb"'),
        ("Package 'freetype2', required by 'virtual:world', not found", "freetype2", '"freetype"'),
        (
            '../meson.build:4:0: ERROR: Dependency "openblas" not found, tried pkgconfig',
            "openblas",
            "libraries=",
        ),
        ("./conftest: cannot execute binary file: Exec format error", "made for the target", "emulator"),
        ("ld.lld: error: a.o is incompatible with armelf_linux_eabi", "another machine", "libraries"),
        (
            "pyport.h:741:2: error: LONG_BIT definition appears wrong for platform",
            "this machine's Python",
            "include",
        ),
        (
            "error: package `x v1` cannot be built because it requires rustc 1.89 or newer",
            "1.89",
            "rustup update",
        ),
        ("error: unsupported option '-mfpu=neon' for target", "-mfpu=neon", "flag"),
        ("ModuleNotFoundError: No module named 'Cython'", "Cython", 'build_dependencies=["Cython"]'),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'cmake'", "cmake", "build_dependencies"),
        ("ERROR: Unknown compiler(s): [['gfortran'], ['flang-new']]", "Fortran", "option of the build"),
        ("configure: error: cannot run test program while cross compiling", "configure script", "ac_cv_"),
        ("source/py_gpio.c:345:21: error: function definition is not allowed here", "only GCC", "--sdk"),
        (
            "lgpio_wrap.c:3759:12: error: call to undeclared function 'PyInt_FromLong';",
            "Python 2",
            "swig<4.3",
        ),
        ("Install swig and try again", "swig", "build_dependencies"),
        ("Exception: pkg-config package 'libusb-1.0 >= 1.0.9' not found", "libusb-1.0", '"libusb"'),
        ("couldn't run 'pg_config' --includedir: [Errno 2] No such file", "pg_config", '"libpq"'),
        ("Could not find geos-config executable. Either append the path to", "geos-config", '"geos"'),
        ("src/pyaudio/x.c:1:10: fatal error: 'portaudio.h' file not found", "portaudio", '"portaudio"'),
        ("winscarddll.c:48:10: fatal error: 'winscard.h' file not found", "winscard", '"pcsc"'),
        ("Could not resolve host: example.org", "no network", "libraries"),
        ("error in x setup command: use_2to3 is invalid.", "older setuptools", "setuptools<58"),
        (
            "ERROR: Package 'x' requires a different Python: 3.10.8 not in '>=3.11'",
            "another Python",
            "older release",
        ),
        ("fatal error: 'hdf5.h' file not found", "hdf5.h", '"hdf5"'),
        ("fatal error: 'bzlib.h' file not found", "bzlib.h", '"bzip2"'),
        ("x.c:3:10: fatal error: 'libqhull_r/qhull_ra.h' file not found", "qhull_ra.h", '"qhull"'),
        ("ld.lld: error: unable to find library -lcblas", "cblas", '"openblas"'),
        ("error: /there/lib/libhdf5.so.103: wrong ELF class: ELFCLASS32", "to ask it", "variables"),
        ("RuntimeError: Python >= 3.11 is required to build this", "another Python", "older release"),
    ],
)
def test_a_known_kind_of_failure_is_named_with_what_to_try(said: str, cause: str, remedy: str) -> None:
    found = diagnose(f"{_NOISE}{said}\n{_NOISE}")
    assert cause in found.cause
    assert remedy in found.remedy
    assert said in found.lines
    assert len(found.lines.splitlines()) < 10


def test_an_unknown_failure_shows_its_first_error_not_its_last_lines() -> None:
    found = diagnose(f"{_NOISE}x.c:7: error: too few arguments\n{_NOISE}make: *** stopped\n")
    assert found.cause == ""
    assert "too few arguments" in found.lines


def test_what_a_build_can_do_without_is_not_the_cause_if_there_is_another() -> None:
    found = diagnose("Package 'libudev' not found\nModuleNotFoundError: No module named 'Cython'\n")
    assert "Cython" in found.cause


def test_a_library_that_a_build_did_not_find_and_would_download_is_named() -> None:
    """As pyzmq does."""
    output = (
        "--   Package 'libzmq', required by 'virtual:world', not found\n-- Bundling libzmq and libsodium\n"
    )
    found = diagnose(f"{output}CMake Error: Could not resolve host: example.org\n")
    assert (found.library, "no network" in found.cause) == ("libzmq", True)
    assert diagnose("Could not resolve host: example.org\n").library is None


def test_output_without_an_error_shows_its_end() -> None:
    assert "the end" in diagnose(f"{_NOISE}the end\n").lines


def test_a_library_that_would_be_refused_is_not_suggested() -> None:
    found = diagnose("Modules/common.h:15:10: fatal error: 'lber.h' file not found")
    assert "lber.h was not found" in found.cause
    assert "libraries=" not in found.remedy
    assert "no C library lber is known" in found.remedy


def test_of_a_build_that_ended_well_the_first_library_is_named_that_it_did_not_have() -> None:
    output = (
        "a.c:1:10: fatal error: 'sys/unknown.h' file not found\n"
        "ld.lld: error: unable to find library -lz\n"
        "check_libyaml.c:2:10: fatal error: 'yaml.h' file not found\n"
        "libyaml is not found or a compiler error: forcing --without-libyaml\n"
    )
    assert library_done_without(output, ()) == "zlib"
    assert library_done_without(output, {"zlib"}) == "libyaml"
    assert library_done_without(output, {"zlib", "libyaml"}) is None


@pytest.mark.parametrize(
    ("said", "package"),
    [
        ("error: command 'swig' failed: No such file or directory", "swig"),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'cmake'", "cmake"),
        ("sh: 1: ninja: not found", "ninja"),
        ("/bin/sh: 1: meson: not found", "meson"),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'gfortran'", None),
    ],
)
def test_a_program_is_named_with_the_package_that_brings_it(said: str, package: str | None) -> None:
    assert diagnose(f"{_NOISE}{said}\n{_NOISE}").build_dependency == package
