"""Print as JSON the facts that only a machine's own Python knows; this Python runs the file, natively or emulated."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import re
import sys
import sysconfig

try:
    from importlib import metadata
except ImportError:  # before 3.8
    metadata = None  # type: ignore[assignment]


def packages() -> dict[str, str]:
    """Return the names and versions of the installed distributions."""
    found: dict[str, str] = {}
    for item in metadata.distributions() if metadata else ():
        # Of metadata the head alone is read: what follows is a long description, which takes a slow machine seconds.
        text = item.read_text("METADATA") or item.read_text("PKG-INFO") or item.read_text("") or ""
        head = dict(
            re.findall(r"^(Name|Version):[ \t]*(\S.*?)[ \t\r]*$", text.partition("\n\n")[0], re.MULTILINE)
        )
        if len(head) == 2:
            found.setdefault(head["Name"], head["Version"])  # Python imports the first one on the path
    return found


def tags() -> list[str]:
    """Return the wheel tags that its pip accepts, in order of preference."""
    try:
        from pip._vendor.packaging.tags import sys_tags
    except ImportError:  # no pip, or one repackaged by a distribution
        try:
            from packaging.tags import sys_tags  # type: ignore[assignment]
        except ImportError:
            return []
    return list(map(str, sys_tags()))


def pip_version() -> str:
    """Return the version of pip; empty without pip."""
    try:
        import pip
    except ImportError:
        return ""
    return pip.__version__


said = {
    "implementation": platform.python_implementation(),
    "version": platform.python_version(),
    "soabi": sysconfig.get_config_var("SOABI") or "",
    "suffix": sysconfig.get_config_var("EXT_SUFFIX") or "",
    "sysconfigdata": sysconfig._get_sysconfigdata_name(),  # type: ignore[attr-defined]
    "multiarch": sysconfig.get_config_var("MULTIARCH") or "",
    "prefix": sys.prefix,
    "gil_disabled": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "machine": os.uname().machine,
    "kernel": os.uname().release,
    "page_bytes": os.sysconf("SC_PAGE_SIZE"),
    "pointer_bits": 8 * ctypes.sizeof(ctypes.c_void_p),
    "time_bytes": sysconfig.get_config_var("SIZEOF_TIME_T") or 0,
    "long_double_bytes": ctypes.sizeof(ctypes.c_longdouble),
    "packages": packages(),
    "pip": pip_version(),
    "tags": tags(),
}
print("\nlearned " + json.dumps(said))
