"""Tiny projects, one for each way to compile an extension: made by a test, built in seconds.

Each is the files of a source tree by path. All extension modules answer the same questions: ``bits()``, the size of a
pointer as the compiler saw it, and ``add(a, b)``, so that something is really called.
"""

from __future__ import annotations

import io
import tarfile
import textwrap
import zipfile
from collections.abc import Mapping
from pathlib import Path

Files = Mapping[str, str]

# Pinned, so that what is downloaded for one test is found by the next.
SETUPTOOLS = "setuptools==75.8.0"

_METHODS = """
#include <Python.h>
static PyObject *bits(PyObject *self, PyObject *none) { return PyLong_FromLong(8 * (long) sizeof(void *)); }
static PyObject *add(PyObject *self, PyObject *args)
{
    int a, b;
    if (!PyArg_ParseTuple(args, "ii", &a, &b)) return NULL;
    return PyLong_FromLong(sum(a, b));
}
static PyMethodDef methods[] = {{"bits", bits, METH_NOARGS, ""}, {"add", add, METH_VARARGS, ""}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_demo", "", -1, methods};
PyMODINIT_FUNC PyInit__demo(void) { return PyModule_Create(&module); }
"""
C_SOURCE = "static int sum(int a, int b) { return a + b; }\n" + _METHODS
# Exceptions, the standard library and its memory: what goes wrong when libstdc++ is not the robot's.
CXX_SOURCE = (
    """
#include <map>
#include <stdexcept>
#include <string>
static int checked(const std::string &text) { throw std::invalid_argument(text); }
static int sum(int a, int b)
{
    std::map<std::string, int> parts{{"a", a}, {"b", b}};
    try { checked("thrown"); } catch (const std::exception &error) {
        return parts["a"] + parts["b"] + (std::string(error.what()) == "thrown" ? 0 : 1000);
    }
    return -1;
}
extern "C" {
"""
    + _METHODS
    + "}\n"
)


def pyproject(*requires: str, backend: str = "setuptools.build_meta", **tables: str) -> str:
    """Return a pyproject.toml with a build system, and further tables by name."""
    text = f"[build-system]\nrequires = {list(requires)!r}\nbuild-backend = {backend!r}\n"
    return text + "".join(
        f"[{name.replace('__', '.')}]\n{textwrap.dedent(body)}\n" for name, body in tables.items()
    )


def setup_py(extension: str = 'Extension("_demo", ["demo.c"])', *, name: str = "demo", more: str = "") -> str:
    """Return a setup.py with one extension module."""
    return (
        "from setuptools import Extension, setup\n"
        f"setup(name={name!r}, version='1.0', ext_modules=[{extension}], py_modules=[] {more})\n"
    )


def c_project(name: str = "demo") -> Files:
    """Return a project with a C extension, built by setuptools."""
    return {"pyproject.toml": pyproject(SETUPTOOLS), "setup.py": setup_py(name=name), "demo.c": C_SOURCE}


def yaml_project(name: str = "demo", header: str = "yaml.h", *, optional: bool = False) -> Files:
    """Return a C project that wants libyaml, and says so nowhere but in its code; or that does without, in silence."""
    extension = f'Extension("_demo", ["demo.c"], libraries=["yaml"], optional={optional})'
    setup = setup_py(extension, name=name)
    asked = f"#include <{header}>\nconst char *asked(void) {{ return yaml_get_version_string(); }}\n"
    return {**c_project(name), "setup.py": setup, "demo.c": asked + C_SOURCE}


def makefile_project() -> Files:
    """Return a project whose Makefile names the compiler, and another one for a program that runs meanwhile.

    It runs the tests of what it made, too, as Automake has them.
    """
    setup = """
        import subprocess, sysconfig
        from setuptools import Extension, setup
        subprocess.run(["make", f"INCLUDE={sysconfig.get_path('include')}", "demo.o"], check=True)
        subprocess.run(["make", "check"], check=True)
        extension = Extension("_demo", [], extra_objects=["demo.o"])
        setup(name="demo", version="1.0", ext_modules=[extension], py_modules=[])
    """
    rules = """
CC = gcc
CC_FOR_BUILD ?= gcc
demo.o: demo.c generated.h
\t$(CC) -g -fPIC -I$(INCLUDE) -include generated.h -c demo.c -o $@
generated.h: generator.c
\t$(CC_FOR_BUILD) generator.c -o generator
\t./generator > $@
check_PROGRAMS = selftest
TESTS = $(check_PROGRAMS)
check: $(check_PROGRAMS)
\tset -e; for each in $(TESTS); do ./$$each; done
selftest: generator.c
\t$(CC) generator.c -o $@
"""
    generator = '#include <stdio.h>\nint main(void) { return puts("/* generated */") < 0; }\n'
    files = {"setup.py": textwrap.dedent(setup), "Makefile": rules, "generator.c": generator}
    return {**c_project(), **files}


def pure_project(name: str) -> Files:
    """Return a project with a module and nothing to compile, built by setuptools."""
    setup = f"from setuptools import setup\nsetup(name='{name}', version='1.0', py_modules=['{name}'])\n"
    return {"pyproject.toml": pyproject(SETUPTOOLS), "setup.py": setup, f"{name}.py": ""}


def cxx_project() -> Files:
    """Return a project with a C++ extension and no pyproject.toml, as they were."""
    return {"setup.py": setup_py('Extension("_demo", ["demo.cpp"])'), "demo.cpp": CXX_SOURCE}


def lenient_project() -> Files:
    """Return a C++ project that GCC compiles with a warning, and that wants to be optimised when it is linked."""
    extension = (
        'Extension("_demo", ["demo.cpp"], extra_compile_args=["-flto=auto"], extra_link_args=["-flto=auto"])'
    )
    narrow = "struct Narrow { unsigned char byte; };\nint narrowed(int wide) { return Narrow{wide}.byte; }\n"
    return {"setup.py": setup_py(extension), "demo.cpp": narrow + CXX_SOURCE}


def cython_project() -> Files:
    """Return a project whose extension is written in Cython."""
    source = """
        cdef extern from *:
            '''
            #define BITS (8 * (int) sizeof(void *))
            '''
            int BITS
        def bits(): return BITS
        def add(int a, int b): return a + b
    """
    return {
        "pyproject.toml": pyproject(SETUPTOOLS, "cython==3.0.12"),
        "setup.py": setup_py('Extension("_demo", ["demo.pyx"])'),
        "demo.pyx": textwrap.dedent(source),
    }


def cffi_project() -> Files:
    """Return a project whose extension is written by cffi, which runs on the machine that builds."""
    build = """
        from cffi import FFI
        ffi = FFI()
        ffi.cdef("int bits(void); int add(int, int);")
        ffi.set_source("_demo", "int bits(void) { return 8 * sizeof(void *); } int add(int a, int b) { return a + b; }")
    """
    return {
        "pyproject.toml": pyproject(SETUPTOOLS, "cffi==1.17.1"),
        "setup.py": setup_py("", more=', cffi_modules=["build_demo.py:ffi"]'),
        "build_demo.py": textwrap.dedent(build),
    }


_FORTRAN = """
    subroutine total(a, b, c) bind(c)
        use iso_c_binding
        integer(c_int), value :: a, b
        integer(c_int) :: c
        character(len=12) :: text
        write(text, '(i12)') a + b   ! by the runtime library
        read(text, *) c
    end subroutine
"""
_FORTRAN_CALLER = (
    "void total(int a, int b, int *c);\nstatic int sum(int a, int b) { int c; total(a, b, &c); return c; }\n"
)


def fortran_project() -> Files:
    """Return a project with an extension in C and Fortran, by Meson."""
    return {
        "pyproject.toml": pyproject(
            "meson-python==0.17.1", backend="mesonpy", project="name = 'demo'\nversion = '1.0'"
        ),
        "meson.build": (
            "project('demo', 'c', 'fortran', version: '1.0')\npy = import('python').find_installation(pure: false)\n"
            "py.extension_module('_demo', 'demo.c', 'total.f90', install: true)\n"
        ),
        "demo.c": _FORTRAN_CALLER + _METHODS,
        "total.f90": textwrap.dedent(_FORTRAN),
    }


def fortran_cmake_project() -> Files:
    """Return a project with an extension in C and Fortran, by scikit-build-core."""
    return {
        "pyproject.toml": pyproject(
            "scikit-build-core==0.11.1",
            backend="scikit_build_core.build",
            project="name = 'demo'\nversion = '1.0'",
        ),
        "CMakeLists.txt": (
            "cmake_minimum_required(VERSION 3.18)\nproject(demo LANGUAGES C Fortran)\n"
            "find_package(Python REQUIRED COMPONENTS Interpreter Development.Module)\n"
            "Python_add_library(_demo MODULE demo.c total.f90 WITH_SOABI)\n"
            "install(TARGETS _demo DESTINATION .)\n"
        ),
        "demo.c": _FORTRAN_CALLER + _METHODS,
        "total.f90": textwrap.dedent(_FORTRAN),
    }


def cmake_project(commands: str = "") -> Files:
    """Return a project with a C extension that CMake builds, by scikit-build-core; ``commands`` come first."""
    lists = f"""
        cmake_minimum_required(VERSION 3.18)
        project(demo C)
        {commands}
        find_package(Python REQUIRED COMPONENTS Interpreter Development.Module)
        python_add_library(_demo MODULE demo.c WITH_SOABI)
        install(TARGETS _demo DESTINATION .)
    """
    return {
        "pyproject.toml": pyproject(
            "scikit-build-core==0.11.1",
            "cmake==3.31.6",
            "ninja==1.11.1.4",
            backend="scikit_build_core.build",
            project="name = 'demo'\nversion = '1.0'",
        ),
        "CMakeLists.txt": textwrap.dedent(lists),
        "demo.c": C_SOURCE,
    }


def numpy_cmake_project() -> Files:
    """Return a project that asks CMake for numpy's headers, and does not compile where these are of another machine.

    It is to be installed with the folder of a library of this machine, as pyzmq would be.
    """
    lists = """
        cmake_minimum_required(VERSION 3.18)
        project(demo C)
        find_package(Python REQUIRED COMPONENTS Interpreter Development.Module NumPy)
        set(CMAKE_INSTALL_RPATH /opt/demo/lib)
        python_add_library(_demo MODULE demo.c WITH_SOABI)
        target_link_libraries(_demo PRIVATE Python::NumPy)
        install(TARGETS _demo DESTINATION .)
    """
    sizes = '_Static_assert(NPY_SIZEOF_LONG == sizeof(long), "headers of another machine");\n'
    project = cmake_project()
    return {
        **project,
        "pyproject.toml": project["pyproject.toml"].replace("requires = [", "requires = ['numpy==2.2.5', "),
        "CMakeLists.txt": textwrap.dedent(lists),
        "demo.c": "#include <numpy/numpyconfig.h>\n" + sizes + C_SOURCE,
    }


def pybind11_project() -> Files:
    """Return a project whose extension is written with pybind11."""
    source = """
        #include <pybind11/pybind11.h>
        PYBIND11_MODULE(_demo, m) {
            m.def("bits", [] { return 8 * sizeof(void *); });
            m.def("add", [](int a, int b) { return a + b; });
        }
    """
    return {
        "pyproject.toml": pyproject(SETUPTOOLS, "pybind11==2.13.6"),
        "setup.py": "from pybind11.setup_helpers import Pybind11Extension\n"
        + setup_py('Pybind11Extension("_demo", ["demo.cpp"])'),
        "demo.cpp": textwrap.dedent(source),
    }


def nanobind_project() -> Files:
    """Return a project whose extension is written with nanobind, by scikit-build-core."""
    lists = """
        cmake_minimum_required(VERSION 3.18)
        project(demo CXX)
        find_package(Python 3.8 REQUIRED COMPONENTS Interpreter Development.Module)
        execute_process(COMMAND ${Python_EXECUTABLE} -m nanobind --cmake_dir
                        OUTPUT_STRIP_TRAILING_WHITESPACE OUTPUT_VARIABLE nanobind_ROOT)
        find_package(nanobind CONFIG REQUIRED)
        nanobind_add_module(_demo demo.cpp)
        nanobind_add_stub(_demo_stub MODULE _demo OUTPUT _demo.pyi PYTHON_PATH $<TARGET_FILE_DIR:_demo> DEPENDS _demo)
        install(TARGETS _demo DESTINATION .)
        install(FILES ${CMAKE_CURRENT_BINARY_DIR}/_demo.pyi DESTINATION .)
    """
    source = """
        #include <nanobind/nanobind.h>
        NB_MODULE(_demo, m) {
            m.def("bits", [] { return 8 * sizeof(void *); });
            m.def("add", [](int a, int b) { return a + b; });
        }
    """
    return {
        **cmake_project(),
        "pyproject.toml": pyproject(
            "scikit-build-core==0.11.1",
            "nanobind==2.7.0",
            "typing_extensions==4.12.2",
            "cmake==3.31.6",
            "ninja==1.11.1.4",
            backend="scikit_build_core.build",
            project="name = 'demo'\nversion = '1.0'",
        ),
        "CMakeLists.txt": textwrap.dedent(lists),
        "demo.cpp": textwrap.dedent(source),
    }


def openblas_project() -> Files:
    """Return a project with an extension in C that calls BLAS and LAPACK."""
    caller = """
        #include <cblas.h>
        void dgesv_(int *n, int *nrhs, double *a, int *lda, int *pivots, double *b, int *ldb, int *info);
        static int sum(int a, int b)
        {
            double matrix[] = {0, 1, 1, 0}, sides[] = {a, b}, ones[] = {1, 1};
            int n = 2, one = 1, pivots[2], info;
            dgesv_(&n, &one, matrix, &n, pivots, sides, &n, &info);
            return info ? -1 : (int) cblas_ddot(n, sides, 1, ones, 1);
        }
    """
    return {
        "pyproject.toml": pyproject(SETUPTOOLS),
        "setup.py": setup_py('Extension("_demo", ["demo.c"], libraries=["openblas"])'),
        "demo.c": textwrap.dedent(caller) + _METHODS,
    }


def rust_project() -> Files:
    """Return a project with an extension in Rust, by setuptools-rust; it speaks C, and so needs no crate."""
    source = """
        use std::os::raw::{c_char, c_int, c_long, c_void};
        use std::ptr::{null, null_mut};

        #[repr(C)]
        struct Method { name: *const c_char, call: Option<Call>, flags: c_int, doc: *const c_char }
        type Call = unsafe extern "C" fn(*mut c_void, *mut c_void) -> *mut c_void;
        #[repr(C)]
        struct Module {
            count: isize, kind: *mut c_void, init: *mut c_void, index: isize, copy: *mut c_void,
            name: *const c_char, doc: *const c_char, size: isize, methods: *mut Method,
            slots: *mut c_void, traverse: *mut c_void, clear: *mut c_void, free: *mut c_void,
        }
        extern "C" {
            fn PyModule_Create2(module: *mut Module, version: c_int) -> *mut c_void;
            fn PyLong_FromLong(value: c_long) -> *mut c_void;
            fn PyArg_ParseTuple(args: *mut c_void, format: *const c_char, ...) -> c_int;
        }
        unsafe extern "C" fn bits(_: *mut c_void, _: *mut c_void) -> *mut c_void {
            PyLong_FromLong(usize::BITS as c_long)
        }
        unsafe extern "C" fn add(_: *mut c_void, args: *mut c_void) -> *mut c_void {
            let (mut a, mut b): (c_int, c_int) = (0, 0);
            if PyArg_ParseTuple(args, b"ii\\0".as_ptr().cast(), &mut a, &mut b) == 0 { return null_mut(); }
            PyLong_FromLong((a + b) as c_long)
        }
        #[no_mangle]
        pub unsafe extern "C" fn PyInit__demo() -> *mut c_void {
            let methods = Box::leak(Box::new([
                Method { name: b"bits\\0".as_ptr().cast(), call: Some(bits), flags: 4, doc: null() },
                Method { name: b"add\\0".as_ptr().cast(), call: Some(add), flags: 1, doc: null() },
                Method { name: null(), call: None, flags: 0, doc: null() },
            ]));
            let module = Box::leak(Box::new(Module {
                count: 1, kind: null_mut(), init: null_mut(), index: 0, copy: null_mut(),
                name: b"_demo\\0".as_ptr().cast(), doc: null(), size: -1, methods: methods.as_mut_ptr(),
                slots: null_mut(), traverse: null_mut(), clear: null_mut(), free: null_mut(),
            }));
            PyModule_Create2(module, 1013)
        }
    """
    extension = 'RustExtension("_demo", binding=Binding.NoBinding)'
    return {
        "pyproject.toml": pyproject(SETUPTOOLS, "setuptools-rust==1.10.2"),
        "setup.py": (
            "from setuptools import setup\nfrom setuptools_rust import Binding, RustExtension\n"
            f"setup(name='demo', version='1.0', py_modules=[], rust_extensions=[{extension}], zip_safe=False)\n"
        ),
        "Cargo.toml": _crate("[lib]\ncrate-type = ['cdylib']\npath = 'lib.rs'\n"),
        "Cargo.lock": _CARGO_LOCK,
        "lib.rs": textwrap.dedent(source),
    }


def maturin_project(maturin: str = "1.8.1") -> Files:
    """Return a project with a program in Rust, by a version of maturin; without bindings it needs no crate."""
    return {
        "pyproject.toml": pyproject(
            f"maturin=={maturin}",
            backend="maturin",
            project="name = 'demo'\nversion = '1.0'",
            tool__maturin="bindings = 'bin'",
        ),
        "Cargo.toml": _crate(""),
        "Cargo.lock": _CARGO_LOCK,
        "src/main.rs": 'fn main() { println!("{} bits", usize::BITS); }\n',
    }


def maturin_workspace(*, uses_crate: bool) -> Files:
    """Return a project with a program in Rust and a crate beside it; its lock says that the program uses the crate."""
    helper = '\n[[package]]\nname = "helper"\nversion = "1.0.0"\n'
    return {
        **maturin_project(),
        "Cargo.toml": _crate(
            "[workspace]\nmembers = ['helper']\n"
            + ("[dependencies]\nhelper = { path = 'helper' }\n" if uses_crate else "")
        ),
        "Cargo.lock": _CARGO_LOCK + 'dependencies = [\n "helper",\n]\n' + helper,
        "helper/Cargo.toml": _crate("").replace("demo", "helper"),
        "helper/src/lib.rs": "",
    }


def vendored_project() -> Files:
    """Return a project with a program in Rust whose sdist has the crate that it uses, with that crate's own lock."""
    files = {name: text for name, text in maturin_project().items() if name != "Cargo.lock"}
    replaced = "[source.crates-io]\nreplace-with = 'vendored'\n[source.vendored]\ndirectory = 'vendor'\n"
    for_its_tests = _crate("[dev-dependencies]\nabsent = '1'\n").replace("demo", "helper")
    return {
        **files,
        "Cargo.toml": _crate("[dependencies]\nhelper = '1.0.0'\n"),
        "src/main.rs": 'fn main() { println!("{} bits", helper::bits()); }\n',
        ".cargo/config.toml": replaced,
        "vendor/helper/.cargo-checksum.json": '{"files": {}}',
        "vendor/helper/Cargo.toml": for_its_tests,
        "vendor/helper/Cargo.lock": _CARGO_LOCK.replace("demo", "helper"),
        "vendor/helper/src/lib.rs": "pub fn bits() -> u32 { usize::BITS }\n",
    }


_CARGO_LOCK = 'version = 3\n\n[[package]]\nname = "demo"\nversion = "1.0.0"\n'


def _crate(more: str) -> str:
    return f"[package]\nname = 'demo'\nversion = '1.0.0'\nedition = '2021'\n{more}"


def write_tree(folder: Path, files: Files) -> Path:
    """Write a project's files, and return their folder."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


def make_sdist(
    folder: Path,
    files: Files,
    *,
    name: str = "demo",
    version: str = "1.0",
    requires: str = "",
    static: bool = True,
) -> Path:
    """Write a project's sdist into ``folder``, with metadata that resolvers may rely on (PEP 643) if it is static."""
    said = f"Metadata-Version: {'2.2' if static else '2.1'}\nName: {name}\nVersion: {version}\n"
    said += "".join(f"Requires-Dist: {requirement}\n" for requirement in requires.split())
    folder.mkdir(parents=True, exist_ok=True)
    sdist = folder / f"{name}-{version}.tar.gz"
    with tarfile.open(sdist, "w:gz") as archive:
        for path, text in {**files, "PKG-INFO": said}.items():
            info = tarfile.TarInfo(f"{name}-{version}/{path}")
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    return sdist


def github_zip(files: Files, *, name: str = "demo-1.0") -> bytes:
    """Return a tag's archive as GitHub makes it: everything below one folder, no history."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(f"{name}/{path}"), text)
    return written.getvalue()


_BACKEND = """
import base64, hashlib, pathlib, zipfile
NAME, VERSION, REQUIRES = {name!r}, {version!r}, {requires!r}
def get_requires_for_build_wheel(settings=None): return []
def metadata(): return f"Metadata-Version: 2.1\\nName: {{NAME}}\\nVersion: {{VERSION}}\\n" + "".join(
    f"Requires-Dist: {{text}}\\n" for text in REQUIRES)
def prepare_metadata_for_build_wheel(folder, settings=None):
    info = pathlib.Path(folder, f"{{NAME}}-{{VERSION}}.dist-info"); info.mkdir()
    info.joinpath("METADATA").write_text(metadata())
    return info.name
def build_wheel(folder, settings=None, metadata_directory=None):
    info, path = f"{{NAME}}-{{VERSION}}.dist-info", pathlib.Path(folder, f"{{NAME}}-{{VERSION}}-py3-none-any.whl")
    files = {{path.name: path.read_text() for path in sorted(pathlib.Path().glob("{module}*.py"))}}
    files[f"{{info}}/METADATA"] = metadata()
    files[f"{{info}}/WHEEL"] = "Wheel-Version: 1.0\\nGenerator: own\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    files[f"{{info}}/entry_points.txt"] = "[console_scripts]\\n{name} = {module}:main\\n"
    rows = []
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
            rows.append(f"{{name}},sha256={{digest}},{{len(text.encode())}}\\n")
        archive.writestr(zipfile.ZipInfo(f"{{info}}/RECORD"), "".join(rows) + f"{{info}}/RECORD,,\\n")
    return path.name
"""


def own_project(
    name: str, version: str = "1.0", requires: tuple[str, ...] = (), *, stated: bool = True, **tables: str
) -> Files:
    """Return a pure project with a build backend in its own tree, which needs nothing of a registry.

    ``stated``: its metadata are in the table ``[project]``; else only its backend tells them.
    """
    module = name.replace("-", "_")
    backend = _BACKEND.format(name=module, version=version, requires=list(requires), module=module)
    system = "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n"
    project = f"[project]\nname = {name!r}\nversion = {version!r}\ndependencies = {list(requires)!r}\n"
    more = "".join(
        f"[{title.replace('__', '.')}]\n{textwrap.dedent(body)}\n" for title, body in tables.items()
    )
    return {
        "pyproject.toml": system + (project if stated else "") + more,
        "backend.py": backend,
        f"{module}.py": f"def main():\n    print('{name} {version}')\n",
    }
