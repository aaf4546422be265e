"""Print as JSON the facts that only a machine's own Python knows; this Python runs the file, natively or emulated.

The first argument is the command lines of the machine's services, one a line. The second one is the folder that holds
the services' files like the machine's root, if it is not the root itself.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import re
import sys
import sysconfig
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.metadata import Distribution

try:
    from importlib import metadata
except ImportError:  # before 3.8
    metadata = None  # type: ignore[assignment]

_FIELD = re.compile(r"^(Name|Version|Requires-Dist):[ \t]*(\S.*?)[ \t\r]*$", re.MULTILINE)
_REQUIRED = re.compile(r"[A-Za-z0-9][\w.-]*")
_PYTHON = re.compile(r"(.*/)?python3?(\.\d+)?$")
_ATTRIBUTE = re.compile(r"([A-Za-z_][\w.]*):[A-Za-z_]\w*(\(\))?$")  # as servers take it: module:application
_IMPORT = re.compile(r"^[ \t]*(?:from[ \t]+(\w[\w.]*)[ \t]+import|import[ \t]+(\w[\w., \t]*))", re.MULTILINE)
_ROOT = sys.argv[2] if len(sys.argv) > 2 else ""
_STANDARD = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")]
_FOLDERS = [
    Path(path)
    for path in sys.path[1:]
    if path not in _STANDARD and not path.endswith((".zip", "lib-dynload"))
]


def distributions() -> list[tuple[Distribution, dict[str, list[str]]]]:
    """Return the installed distributions, each with the fields of its metadata that are read here."""
    found = []
    for item in metadata.distributions() if metadata else ():
        # Of metadata the head alone is read: what follows is a long description, which takes a slow machine seconds.
        text = item.read_text("METADATA") or item.read_text("PKG-INFO") or item.read_text("") or ""
        fields: dict[str, list[str]] = {}
        for name, value in _FIELD.findall(text.partition("\n\n")[0]):
            fields.setdefault(name, []).append(value)
        if "Name" in fields and "Version" in fields:
            found.append((item, fields))
    return found


def packages() -> dict[str, str]:
    """Return the names and versions of the installed distributions."""
    found: dict[str, str] = {}
    for _, fields in distributions():
        found.setdefault(fields["Name"][0], fields["Version"][0])  # Python imports the first one on the path
    return found


def imported(commands: str) -> list[str]:
    """Return the installed distributions that programs import, by their command lines, with those that these require.

    Code of a program that belongs to no distribution is read, never run.
    """
    begun = [begin for begin in map(beginning, commands.splitlines()) if begin]
    if not begun:
        return []
    owners: dict[str, set[str]] = {}
    required: dict[str, set[str]] = {}
    for item, fields in distributions():
        name = fields["Name"][0]
        for module in top_level(item, name):
            owners.setdefault(module, set()).add(normal(name))
        older = (item.read_text("requires.txt") or "").partition("[")[0].splitlines()
        lines = fields.get("Requires-Dist", []) + older
        plain = (_REQUIRED.match(line) for line in lines if "extra ==" not in line)
        required.setdefault(normal(name), {normal(found[0]) for found in plain if found})
    found: set[str] = set()
    for modules, folder in begun:
        names = read_modules(modules, [folder, *_FOLDERS], owners)
        found |= {name for module in names for name in owners.get(module, ())}
    waiting = list(found)
    while waiting:
        more = {name for name in required[waiting.pop()] if name in required} - found
        found |= more
        waiting += more
    return sorted(found)


def beginning(command: str) -> tuple[set[str], Path] | None:
    """Return the modules that a command line names, and the folder of its script; or ``None``."""
    words = re.sub(r"^ExecStart=[-@:+!|]*| -[WX] +\S+", "", command.strip()).split()
    if not words:
        return None
    interpreter, script = words[0], words[0]
    if _PYTHON.match(interpreter):
        script = next((word for word in words[1:] if not word.startswith("-")), "")
    else:
        interpreter = interpreter_of(placed(script))
    if not _PYTHON.match(interpreter) or is_apart(placed(interpreter)):
        return None
    modules = {after for word, after in zip(words, words[1:]) if word == "-m"}
    modules |= {found[1] for found in map(_ATTRIBUTE.match, words[1:]) if found}
    modules |= imports(source(placed(script))) if script not in modules else set()
    # Python looks beside the program, not beside a link to it.
    return {name.partition(".")[0] for name in modules}, Path(os.path.realpath(placed(script))).parent


def placed(path: str) -> Path:
    """Return where a file of the machine is to be read."""
    return Path(f"{_ROOT}/{path}" if _ROOT else path)


def interpreter_of(script: Path) -> str:
    """Return the program that runs a script; empty if the file is none."""
    try:
        with script.open("rb") as stream:
            words = stream.readline(200).decode(errors="replace").split()
    except OSError:
        return ""
    return words[-1].lstrip("#!") if words and words[0].startswith("#!") else ""


def is_apart(interpreter: Path) -> bool:
    """Return whether a Python is that of an environment, which has packages of its own."""
    return (interpreter.parent.parent / "pyvenv.cfg").exists()


def read_modules(modules: set[str], folders: list[Path], owners: dict[str, set[str]]) -> set[str]:
    """Return modules with those that their code imports, and so on; of a distribution's, the code is not read."""
    waiting, known = list(modules), set(modules)
    while waiting:
        module = waiting.pop()
        if module in owners:
            continue
        for folder in folders:
            for path in code_of(folder / module):
                more = imports(source(path)) - known
                known |= more
                waiting += more
    return known


def code_of(module: Path) -> list[Path]:
    """Return the files of a module's or a package's code."""
    return [Path(f"{module}.py"), *module.rglob("*.py")]


def source(path: Path) -> str:
    """Return the text of a program; empty if it is none that can be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):
        return ""


def imports(text: str) -> set[str]:
    """Return the first parts of the modules' names that code imports."""
    names = (name for found in _IMPORT.findall(text) for name in (found[0] or found[1]).split(","))
    return {name.split()[0].partition(".")[0] for name in names if name.strip()}


def top_level(item: Distribution, name: str) -> set[str]:
    """Return the names of the modules and packages that a distribution has."""
    stated = (item.read_text("top_level.txt") or "").split()
    lines = (item.read_text("RECORD") or "").splitlines()
    recorded = {
        re.split(r"[/,.]", line, maxsplit=1)[0] for line in lines if re.match(r"\w+(/.*\.py|\.[^/]*),", line)
    }
    return set(stated) or recorded or {name.replace("-", "_")}


def normal(name: str) -> str:
    """Return a distribution's name as PEP 503 writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


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
    "imported": imported(sys.argv[1] if len(sys.argv) > 1 else ""),
    "pip": pip_version(),
    "tags": tags(),
}
print("\nlearned " + json.dumps(said))
