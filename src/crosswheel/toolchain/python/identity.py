"""Make the cross view: a folder that makes an interpreter answer as the target's would.

On ``PYTHONPATH`` it serves build hooks; in a ``.pth`` file it serves uv, which runs the interpreter
isolated. It holds the view's code, the target's identity, and the target's sysconfig data with the compilers
of the build machine.
"""

from __future__ import annotations

import json
import pprint
from importlib import resources
from pathlib import Path

from crosswheel.cached import cached_path, cached_texts
from crosswheel.files import new_file, write_text
from crosswheel.targets import Target
from crosswheel.toolchain.compilers.programs import Compilers
from crosswheel.toolchain.python.tree import PythonTree

# The flags of a release build. CPython's headers rely on -fwrapv and -fno-strict-aliasing.
_CFLAGS = "-fPIC -O2 -DNDEBUG -fwrapv -fno-strict-aliasing -Wall"


def identity_folder(target: Target, python: PythonTree, compilers: Compilers, cache: Path) -> Path:
    """Return a folder with the target's view.

    Args:
        python: the target's Python.
        compilers: the compilers that ``sysconfig`` shall report.
    """
    package = resources.files("crosswheel.toolchain.python") / "view"
    code = {item.name: item.read_text() for item in package.iterdir() if item.name.endswith(".py")}
    view = json.dumps(_view(target, python), indent=1)
    data = _sysconfigdata(target, python, compilers)
    texts = {**code, "view.json": view, f"{target.python.sysconfigdata}.py": data}
    return cached_texts(cached_path(cache, "views", {"code": code, "view": view, "data": data}), texts)


def asked_interpreter(host: PythonTree, identity: Path, cache: Path) -> Path:
    """Return an interpreter of the host that answers as the target, for uv."""
    folder = cached_path(cache, "interpreters", {"host": host.root, "identity": identity})
    site, program = folder / "lib" / f"python{host.short}" / "site-packages", folder / "bin" / "python"
    home = f"home = {host.executable.parent}\ninclude-system-site-packages = false\nversion = {host.short}\n"
    if not program.is_symlink() or program.readlink() != host.executable:
        with new_file(program, mode=None) as temporary:
            temporary.symlink_to(host.executable)
    cached_texts(site, {"crosswheel_view.pth": f"{identity}\nimport crosswheel_view\n"})
    write_text(folder / "pyvenv.cfg", home)
    return program


def _view(target: Target, python: PythonTree) -> dict[str, object]:
    return {
        "machine": target.machine,
        "kernel": target.kernel,
        "multiarch": target.multiarch,
        "platform": f"linux-{target.machine}",
        "sysconfigdata": target.python.sysconfigdata,
        "libc": target.abi.libc.split(),
        "pointer_bytes": target.abi.bits // 8,
        "include": str(python.include),
    }


def _sysconfigdata(target: Target, python: PythonTree, compilers: Compilers) -> str:
    variables = dict(python.build_variables)
    linkers = {
        name: f"{compilers.folder / tool} -shared"
        for name, tool in (("LDSHARED", "cc"), ("LDCXXSHARED", "c++"), ("BLDSHARED", "cc"))
    }
    flags = {
        name: "" for name in variables if name.endswith(("FLAGS", "FLAGS_NODIST")) or name.startswith("OPT")
    }
    variables.update(flags)
    variables.update(compilers.programs)
    variables.update(
        linkers,
        CFLAGS=_CFLAGS,
        CCSHARED="-fPIC",
        ARFLAGS="rcs",
        INCLUDEPY=str(python.include),
        CONFINCLUDEPY=str(python.include),
        LIBDIR=str(python.root),
        LIBPL=str(python.stdlib),
        EXT_SUFFIX=target.extension_suffix,
        SOABI=target.python.soabi,
        MULTIARCH=target.multiarch,
        # An extension module finds Python's symbols in the process that loads it.
        BLDLIBRARY="",
        Py_ENABLE_SHARED=0,
    )
    return f"build_time_vars = {pprint.pformat(variables)}\n"
