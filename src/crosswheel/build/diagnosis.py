"""Diagnose a failed build: pick the relevant lines of output, name a known cause, and suggest what to try next."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from crosswheel.process import tail
from crosswheel.toolchain.libraries.linking import known_libraries

# The library that provides a header or a -l option, if its name differs.
_LIBRARIES = {
    "ffi": "libffi", "yaml": "libyaml", "ssl": "openssl", "crypto": "openssl", "openssl": "openssl",
    "libxml": "libxml2", "libxslt": "libxslt", "z": "zlib", "zlib": "zlib", "sqlite3": "sqlite",
    "pq": "libpq", "pg_config": "libpq", "libpq-fe": "libpq", "portaudio": "portaudio", "libusb-1.0": "libusb",
    "usb-1.0": "libusb", "jpeglib": "libjpeg", "jpeg": "libjpeg", "png": "libpng", "tiff": "libtiff", "webp": "libwebp",
    "ft2build": "freetype", "zmq": "libzmq", "libzmq": "libzmq", "geos_c": "geos", "winscard": "pcsc", "bz2": "bzip2",
    "lzma": "xz", "sodium": "libsodium", "mysql": "mariadb",
    "mysql_config": "mariadb", "mysqlclient": "mariadb", "libmariadb": "mariadb",
    "xml2": "libxml2", "xslt": "libxslt", "asoundlib": "alsa", "bzlib": "bzip2",
    "tiffio": "libtiff", "turbojpeg": "libjpeg", "postgres_ext": "libpq", "libqhull_r": "qhull", "curses": "ncurses",
    "cblas": "openblas", "lapacke": "openblas", "blas": "openblas", "lapack": "openblas", "nc-config": "netcdf",
}  # fmt: skip
# The packages with programs that builds call without requiring them, as these are on many machines.
_PROGRAMS = {"cmake": "cmake", "meson": "meson", "ninja": "ninja", "swig": "swig"}
_UNKNOWN = (
    "no C library {0} is known (docs/recipes.md lists those that are): add it in a libraries.toml of your folder of "
    "recipes, turn that part off with an option of the build, or take an older release or another package that does "
    "without"
)
_PROGRAM_REMEDY = "name it with build_dependencies if it is a Python package, or install it"
_DOWNLOAD_REMEDY = (
    "name what it wants with libraries or build_dependencies, or tell the build to use what is installed"
)
_LINES_BEFORE, _LINES_AFTER = 2, 5
_FIRST_ERROR = re.compile(
    r"(?i)\b(fatal error|error(\[E\d+\])?:|errors? occurred|cannot find|not found|undefined symbol)"
)


@dataclass(frozen=True)
class Diagnosis:
    """A diagnosis for the user: ``cause`` may be empty, ``lines`` and ``remedy`` are not.

    ``library`` is the C library that was not found, if crosswheel knows it; ``build_dependency`` is the package that
    brings the program that was not found, if crosswheel knows one.
    """

    cause: str
    lines: str
    remedy: str
    library: str | None = None
    build_dependency: str | None = None


@dataclass(frozen=True)
class _Kind:
    """A known kind of failure; ``{0}`` in its texts is the pattern's first group."""

    pattern: re.Pattern[str]
    cause: str
    remedy: str


def _kind(pattern: str, cause: str, remedy: str) -> _Kind:
    return _Kind(re.compile(pattern, re.MULTILINE), cause, remedy)


# The first match wins, so special patterns come before general ones.
_KINDS: Sequence[_Kind] = (
    _kind(
        r"LLVM ERROR: out of memory|^MemoryError|std::bad_alloc|memory allocation of \d+ bytes failed"
        r"|virtual memory exhausted|out of memory allocating",
        "a program wanted more memory than it may have",
        "give it more with --memory-limit, or with memory_limit in a recipe",
    ),
    _kind(
        r"LONG_BIT definition appears wrong|pyconfig\.h.*(?:wrong|mismatch)",
        "headers of this machine's Python were used",
        "the build asks another interpreter than the one it is called with; set its option for the include folder",
    ),
    _kind(
        r"is incompatible with (elf_\w+|armelf\w*|aarch64\w*)",
        "something for another machine was linked in ({0})",
        "a library of this machine, or an object file that came with the source: name the C library in `libraries`",
    ),
    _kind(
        r"(?i)exec format error|cannot execute binary file",
        "the build ran a program that it had made for the target",
        "look for its option to run target programs through an emulator, or to be given the answer",
    ),
    _kind(
        r"(?i:could not find) ([\w-]+-config) executable",
        "no C library answers to {0}",
        "name the library with libraries=[{library}] in a recipe",
    ),
    _kind(
        r"fatal error: '?([\w./+-]+)\.h(?:pp)?'? ?(?:file not found|: No such file)",
        "the header {0}.h was not found: a C library is missing",
        "name the library with libraries=[{library}] in a recipe",
    ),
    _kind(
        r"(?:unable to find (?:dynamic system )?library|cannot find) (?:-l|'|\")?([\w.+-]+)",
        "the C library {0} was not found",
        "name the library with libraries=[{library}] in a recipe",
    ),
    _kind(
        r"Dependency \"?([\w.+-]+)\"? not found",
        "pkg-config knows no {0} for the target",
        "name the library with libraries=[{library}] in a recipe",
    ),
    _kind(
        r"(?i)requires rustc (\d+\.\d+(?:\.\d+)?)|rustc \S+ is not supported by .*?(\d+\.\d+)",
        "the Rust compiler is older than the crate wants ({0})",
        "update it with `rustup update`, or ask for an older release of the package",
    ),
    _kind(
        r"(?:unsupported option|unknown argument:?|unknown target CPU) '?([\w=+,.-]+)'?",
        "the compiler refuses {0}",
        "it is a flag for another compiler or CPU: take it out with a patch or an option of the build",
    ),
    _kind(
        r"\.so(?:\.\d+)*: wrong ELF class",
        "the build loads a library of the target, to ask it something",
        "look in its setup.py for the variables that give it the answer: crosswheel's recipe for h5py is an example",
    ),
    _kind(
        r"function definition is not allowed here",
        "it has functions inside functions, which only GCC understands",
        "build it with the vendor's compiler: --sdk",
    ),
    _kind(
        r"error: (?:command )?'?(swig|cmake|ninja|meson|make)'?(?: failed: No such file or directory|: not found)"
        r"|Install (swig) and try again|(?:^|: )(swig|cmake|ninja|meson|make): (?:command )?not found",
        "the program {0} is missing",
        _PROGRAM_REMEDY,
    ),
    _kind(
        r"pkg-config package '([\w.+-]+)[^']*' not found|couldn't run '(\w+)' --\w+",
        "no C library answers to {0}",
        "name the library with libraries=[{library}] in a recipe",
    ),
    _kind(
        r"(?i)could not resolve host|name resolution|network is unreachable|failed to download",
        "the build wanted to download something, and builds have no network",
        _DOWNLOAD_REMEDY,
    ),
    _kind(
        r"(?:No such file or directory: '|command not found: ?|Program '?)"
        r"(cmake|ninja|meson|gfortran|swig|autoreconf|make|perl)\b",
        "the program {0} is missing",
        _PROGRAM_REMEDY,
    ),
    _kind(
        r"Unknown compiler\(s\): \[+'(gfortran|flang)",
        "it asks for a Fortran compiler, and has no Fortran sources for which there would be one",
        "turn that part off with an option of the build",
    ),
    _kind(
        r"cannot run test program while cross compiling",
        "a configure script wants to run a program that it made for the target",
        "give it the answer: the variable ac_cv_… that configure.ac names there, with environment={{…}} in a recipe",
    ),
    _kind(
        r"undeclared function '(PyInt_\w+|PyString_\w+)'",
        "its C code has a name of Python 2 ({0})",
        'if SWIG wrote it, an older one still gave such names a meaning: build_dependencies=["swig<4.3"] in a recipe',
    ),
    _kind(
        r"ModuleNotFoundError: No module named 'pkg_resources'",
        "it was written for an older setuptools",
        'say build_dependencies=["setuptools<82"] in a recipe',
    ),
    _kind(
        r"ModuleNotFoundError: No module named '([\w.]+)'",
        "the build imports {0}, which is not among its requirements",
        'name the package with build_dependencies=["{0}"] in a recipe',
    ),
    _kind(
        r"use_2to3 is invalid|No module named 'distutils\.msvccompiler'",
        "it was written for an older setuptools",
        'say build_dependencies=["setuptools<58"] in a recipe',
    ),
    _kind(
        r"requires a different Python|Python (?:version )?>=?\s?(3\.\d+) (?:is )?required",
        "it wants another Python than the target has",
        "ask for an older release of the package",
    ),
    # The last, because a build may ask for what it can do without.
    _kind(
        r"[Pp]ackage '([\w.+-]+)'(?:, required by .*)? not found|[Nn]o package '([\w.+-]+)' found",
        "pkg-config knows no {0} for the target",
        "name the library with libraries=[{library}] in a recipe",
    ),
)  # fmt: skip


def diagnose(output: str) -> Diagnosis:
    """Diagnose a failed build from its output."""
    for kind in _KINDS:
        match = kind.pattern.search(output)
        if match:
            caught = next(filter(None, match.groups()), "")
            library = _library(caught) if "{library}" in kind.remedy else None
            remedy = kind.remedy.format(caught, library=f'"{library}"')
            if library and library not in known_libraries():
                remedy, library = _UNKNOWN.format(library), None
            if kind.remedy == _DOWNLOAD_REMEDY:  # of what it did not find here
                library = library_done_without(output, ())
            program = _PROGRAMS.get(caught.lower()) if kind.remedy == _PROGRAM_REMEDY else None
            return Diagnosis(
                kind.cause.format(caught), _around(output, match.start()), remedy, library, program
            )
    first = _FIRST_ERROR.search(output)
    lines = _around(output, first.start()) if first else tail(output)
    return Diagnosis("", lines, "the log has the whole output; docs/recipes.md says what a recipe can change")


def library_done_without(output: str, linked: Collection[str]) -> str | None:
    """Return the first C library that a build did not find, though it ended well, if crosswheel knows it.

    Args:
        linked: the libraries that it had; whatever is said of them, these are not what it lacked.
    """
    kinds = [kind for kind in _KINDS if "{library}" in kind.remedy]
    matches = [match for kind in kinds for match in kind.pattern.finditer(output)]
    for match in sorted(matches, key=lambda each: each.start()):
        library = _library(next(filter(None, match.groups()), ""))
        if library in known_libraries() and library not in linked:
            return library
    return None


def _library(name: str) -> str:
    folder, _, last = name.rpartition("/")
    unversioned = re.sub(r"-?[\d.]+$", "", last)  # as pkg-config has them: yaml-0.1, freetype2
    names = [
        _LIBRARIES.get(said, said) for said in (name, folder, last, unversioned, last.removesuffix("-config"))
    ]
    return next((said for said in names if said in known_libraries()), last)


def _around(output: str, position: int) -> str:
    """Return the line at a position with its surrounding lines, indented."""
    number = output.count("\n", 0, position)
    lines = output.splitlines()[max(0, number - _LINES_BEFORE) : number + _LINES_AFTER]
    return "\n".join(f"    {line[:300]}" for line in lines)
