"""numpy's headers, which state the sizes of the machine that *they* were made on.

A build that asks numpy for its headers runs the host's numpy, whose ``_numpyconfig.h`` says that a long has eight
bytes. What it compiles against that is silently wrong on a 32-bit target. The compiler knows better: each size is
replaced by the macro that it predefines.
"""

from __future__ import annotations

import re
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
    # Python's own long long; numpy states it beside C's.
    "PY_LONG_LONG": "__SIZEOF_LONG_LONG__",
}


def retarget(venv: Path) -> list[Path]:
    """Rewrite the headers of a numpy in a build environment; return the files that were changed."""
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
