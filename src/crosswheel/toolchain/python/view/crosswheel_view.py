"""Make this interpreter answer questions about its machine as the target would.

Loaded at start-up, by ``sitecustomize`` (build hooks) or by a ``.pth`` file (the interpreter that uv looks at),
only where the target's view is wanted; the rest of a build must see the host. ``view.json`` beside this file
says who the target is. Nothing here depends on crosswheel: the interpreter is not crosswheel's own.

What is asked where: setuptools, distutils and meson-python read ``sysconfig``; wheel and packaging
``sysconfig.get_platform``; uv ``os.uname``, ``platform`` and the C library's version; mypyc, and others that
choose code by word size, ``sys.maxsize`` or the size of a pointer.
"""

# mypy: ignore-errors
import json
import os
import platform
import struct
import sys
import sysconfig
import types
from pathlib import Path

_HERE = Path(__file__).parent


def _become(view):
    os.environ["_PYTHON_HOST_PLATFORM"] = view["platform"]
    os.environ["_PYTHON_SYSCONFIGDATA_NAME"] = view["sysconfigdata"]
    sys.implementation._multiarch = view["multiarch"]
    # Only Python code reads this; the interpreter itself keeps its own idea.
    sys.maxsize = 2 ** (8 * view["pointer_bytes"] - 1) - 1
    _replace_machine(view)
    _replace_pointer_size(view["pointer_bytes"])
    _replace_paths(view)


def _replace_machine(view):
    uname = os.uname()
    answer = type(uname)(("Linux", uname.nodename, view["kernel"], "#1 SMP", view["machine"]))
    os.uname = lambda: answer
    platform.machine = lambda: view["machine"]
    platform.processor = lambda: view["machine"]
    name, version = view["libc"]
    platform.libc_ver = lambda *args, **kwargs: (name, version)
    platform.architecture = lambda *args, **kwargs: (f"{8 * view['pointer_bytes']}bit", "ELF")
    confstr = os.confstr
    names = {"CS_GNU_LIBC_VERSION": f"{name} {version}"}
    os.confstr = lambda name: names.get(name) or confstr(name)
    if name == "musl":
        # uv reads which musl there is from the interpreter's file, which is the host's.
        numbers = tuple(map(int, version.split(".")[:2]))
        sys.modules["python.packaging._musllinux"] = types.SimpleNamespace(
            _get_musl_version=lambda executable: numbers
        )


def _replace_pointer_size(pointer_bytes):
    calcsize = struct.calcsize

    def target_calcsize(format):
        # ctypes compares with the interpreter that runs, and cannot be imported if they differ.
        is_pointer = format in ("P", b"P") and sys._getframe(1).f_globals.get("__name__") != "ctypes"
        return pointer_bytes if is_pointer else calcsize(format)

    struct.calcsize = target_calcsize


def _replace_paths(view):
    get_paths = sysconfig.get_paths

    def target_paths(*args, **kwargs):
        headers = {"include": view["include"], "platinclude": view["include"]}
        return {**get_paths(*args, **kwargs), **headers}

    sysconfig.get_paths = target_paths
    sysconfig.get_path = lambda name, *args, **kwargs: target_paths(*args, **kwargs)[name]


class _TargetModules:
    """Hand a program that imports what was built for the target over to the target's own Python, emulated.

    So nanobind's does, which writes down what a module offers. A build's hook stays here: it began long before.
    """

    def __init__(self, python, suffix):
        self.python, self.suffix = python, suffix

    def find_spec(self, name, path=None, target=None):
        file = name.rpartition(".")[2] + self.suffix
        if any(Path(folder, file).is_file() for folder in (sys.path if path is None else path)):
            os.execv(self.python, [self.python, *sys.orig_argv[1:]])


_become(json.loads((_HERE / "view.json").read_text()))
_words = getattr(sys, "orig_argv", [])  # since Python 3.10
_python, _program = Path(os.environ.get("CROSSWHEEL_TARGET_PYTHON", "")), Path("".join(_words[1:2]))
if _python.is_file() and _program.is_file() and _program.name not in ("_in_process.py", "setup.py"):
    sys.meta_path.append(_TargetModules(str(_python), sysconfig.get_config_var("EXT_SUFFIX")))
