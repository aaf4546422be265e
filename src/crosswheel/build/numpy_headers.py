"""Make numpy in a build environment match the target, because builds compile against it and link it.

A build that asks numpy for its headers runs the host's numpy, whose ``_numpyconfig.h`` states eight bytes for a long.
Code compiled against that is silently wrong on a 32-bit target. So each size is replaced by the macro that the compiler
predefines. The static libraries next to the headers are for the host's architecture. If a build links them, they are
replaced by those in the target's wheel of the same numpy.
"""

from __future__ import annotations

import os
import re
import zipfile
from pathlib import Path

from crosswheel.files import write_text

_SIZE = re.compile(r"^(#\s*define\s+NPY_SIZEOF_(\w+)\s+)\S+[ \t]*$", re.MULTILINE)
_MACROS = {
    "SHORT": "__SIZEOF_SHORT__",
    "INT": "__SIZEOF_INT__",
    "LONG": "__SIZEOF_LONG__",
    "LONGLONG": "__SIZEOF_LONG_LONG__",
    "FLOAT": "__SIZEOF_FLOAT__",
    "DOUBLE": "__SIZEOF_DOUBLE__",
    "LONGDOUBLE": "__SIZEOF_LONG_DOUBLE__",
    "COMPLEX_FLOAT": "(2 * __SIZEOF_FLOAT__)",
    "COMPLEX_DOUBLE": "(2 * __SIZEOF_DOUBLE__)",
    "COMPLEX_LONGDOUBLE": "(2 * __SIZEOF_LONG_DOUBLE__)",
    "PY_INTPTR_T": "__SIZEOF_POINTER__",
    "INTP": "__SIZEOF_POINTER__",
    "UINTP": "__SIZEOF_POINTER__",
    "WCHAR_T": "__SIZEOF_WCHAR_T__",
    "OFF_T": "__SIZEOF_LONG__",
    # Python's own long long, which numpy states in addition to C's
    "PY_LONG_LONG": "__SIZEOF_LONG_LONG__",
}

_LIBRARY = re.compile(r"numpy/(?:_?core|random)/lib/lib\w+\.a")
# Files in which builds declare what they link, and the names of numpy's two libraries there.
_BUILD_FILES = ("meson.build", "setup.py", "CMakeLists.txt")
_NAMED = re.compile(r"\bnpy(?:math|random)\b")


def retarget(venv: Path) -> list[Path]:
    """Rewrite numpy's headers in a build environment; return the changed files."""
    changed = []
    for header in venv.glob("lib/python*/site-packages/numpy/*core/include/numpy/_numpyconfig.h"):
        text = header.read_text()
        rewritten = _SIZE.sub(_replacement, text)
        if rewritten != text:
            write_text(header, rewritten)  # a new file: the old one may be a hard link into uv's cache
            changed.append(header)
    return changed


def _replacement(match: re.Match[str]) -> str:
    return match[1] + _MACROS[match[2]] if match[2] in _MACROS else match[0]


def linked_version(venv: Path, tree: Path) -> str | None:
    """Return the version of numpy in a build environment; ``None`` if the build links none of its static libraries."""
    for info in venv.glob("lib/python*/site-packages/numpy-*.dist-info"):
        if _links_numpy(tree):
            return info.name[len("numpy-") : -len(".dist-info")]
    return None


def _links_numpy(tree: Path) -> bool:
    return any(
        name in _BUILD_FILES and _NAMED.search(Path(folder, name).read_text(errors="replace"))
        for folder, _, names in os.walk(tree)
        for name in names
    )


def replace_libraries(venv: Path, wheel: Path) -> list[str]:
    """Replace numpy's static libraries in a build environment by those in a numpy wheel; return their names."""
    (site,) = venv.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if _LIBRARY.fullmatch(name)]
        for name in names:
            (site / name).unlink()  # it may be a hard link into uv's cache
            archive.extract(name, site)
    return names
