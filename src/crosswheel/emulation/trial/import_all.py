"""Run by the target's Python: imports the modules that are named, and tells of each what came of it.

What follows ``--`` are shared objects, by their paths below a site folder: they are opened afterwards, and all that
they need is looked for at once. Which is next is told before: a crash leaves no other trace.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from urllib.parse import quote


def missing(error: BaseException) -> str | None:
    """Return the name of the module that is not there, if that is the reason; what wraps the error may hide it."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ModuleNotFoundError):
        cause = cause.__cause__ or cause.__context__
    return cause.name if cause is not None else None


def open_object(path: str) -> None:
    """Load a shared object as ctypes does."""
    import ctypes  # late: what is told to import comes first

    file = next(filter(Path.is_file, (Path(folder, path) for folder in sys.path)))
    ctypes.CDLL(str(file), mode=os.RTLD_NOW)


words = sys.argv[1:]
del sys.argv[1:]
names, objects = words[: words.index("--")], words[words.index("--") + 1 :]
for name in names:
    print("importing", name, file=sys.__stdout__, flush=True)
    try:
        importlib.import_module(name)
    except Exception as error:
        traceback.print_exc(file=sys.__stdout__)
        report = {
            "kind": type(error).__name__,
            "message": str(error),
            "missing": missing(error) if isinstance(error, ImportError) else None,
            "by_hand": isinstance(error, ImportError) and error.name is None,
        }
        print("unimportable", name, json.dumps(report), file=sys.__stdout__, flush=True)
    else:
        print("imported", name, file=sys.__stdout__, flush=True)
for path in objects:
    print("opening", quote(path), file=sys.__stdout__, flush=True)
    try:
        open_object(path)
    except Exception as error:
        report = {"kind": type(error).__name__, "message": str(error), "missing": None, "by_hand": False}
        print("unopenable", quote(path), json.dumps(report), file=sys.__stdout__, flush=True)
print("finished importing", file=sys.__stdout__, flush=True)
