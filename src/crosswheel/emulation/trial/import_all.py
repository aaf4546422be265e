"""Run by the target's Python: imports the modules that are named, and tells of each what came of it.

What follows ``--`` are shared objects, by their paths below a site folder: they are opened afterwards, and all that
they need is looked for at once. Which is next is told before: a crash leaves no other trace.

It imports next to nothing itself: under emulation that takes long, and a module that forgets to import something would
find it there.
"""

from __future__ import annotations

import sys


def missing(error: BaseException) -> str | None:
    """Return the name of the module that is not there, if that is the reason; what wraps the error may hide it."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ModuleNotFoundError):
        cause = cause.__cause__ or cause.__context__
    return cause.name if cause is not None else None


def vendored(name: str, absent: str) -> tuple[str, str] | None:
    """Return the folder that a vendored module wants on the path, and its name from there; ``None`` if it wants none.

    Who vendors a package puts the folder around it on the path: the package then names itself as if it were installed.
    """
    from pathlib import Path

    parts = name.split(".")
    depth = parts.index(absent) if absent in parts[:-1] else 0
    if not any("vendor" in part for part in parts[:depth]):
        return None
    folders = (Path(site, *parts[:depth]) for site in sys.path)
    folder = next((str(folder) for folder in folders if Path(folder, absent).is_dir()), None)
    return (folder, ".".join(parts[depth:])) if folder else None


def load(name: str) -> None:
    """Import a module; a vendored one that does not find its own package, as those import it that vendor it."""
    try:
        __import__(name)
    except ImportError as error:
        place = vendored(name, (missing(error) or "").partition(".")[0])
        if place is None:
            raise
        folder, own_name = place
        sys.path.append(folder)
        try:
            __import__(own_name)
        finally:
            sys.path.remove(folder)


def open_object(path: str) -> None:
    """Load a shared object as ctypes does."""
    import ctypes
    import os
    from pathlib import Path

    file = next(filter(Path.is_file, (Path(folder, path) for folder in sys.path)))
    ctypes.CDLL(str(file), mode=os.RTLD_NOW)


def quoted(path: str) -> str:
    """Return a path as one word."""
    from urllib.parse import quote

    return quote(path)


def tell(*words: str) -> None:
    """Print a line at once."""
    print(*words, file=sys.__stdout__, flush=True)


def tell_failure(event: str, name: str, error: Exception, *, is_import: bool) -> None:
    """Print what failed and why."""
    import json

    by_hand = is_import and isinstance(error, ImportError)
    report = {
        "kind": type(error).__name__,
        "message": str(error),
        "missing": missing(error) if by_hand else None,
        "by_hand": by_hand and getattr(error, "name", None) is None,
    }
    tell(event, name, json.dumps(report))


words = sys.argv[1:]
del sys.argv[1:]
names, objects = words[: words.index("--")], words[words.index("--") + 1 :]
for name in names:
    tell("importing", name)
    try:
        load(name)
    except Exception as error:
        import traceback

        traceback.print_exc(file=sys.__stdout__)
        tell_failure("unimportable", name, error, is_import=True)
    else:
        tell("imported", name)
for path in objects:
    tell("opening", quoted(path))
    try:
        open_object(path)
    except Exception as error:
        tell_failure("unopenable", quoted(path), error, is_import=False)
tell("finished importing")
