"""Owns the places of the cache where wheels are installed for trials, and lets others have what lies there."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

from crosswheel.cached import CachedFolder, cached_path
from crosswheel.files import place_link


def trial_prefix(cache: Path, sha256: str, short: str) -> CachedFolder:
    """Return the folder of a cache for a wheel that uv has installed and byte-compiled: a ``sys.prefix``.

    Args:
        sha256: the hash of the wheel.
        short: the version of the Python that it is installed for, such as ``3.10``.
    """
    holds = [f"lib/python{short}/site-packages/*.dist-info/RECORD"]
    return CachedFolder.of(cache, "sites", f"{sha256[:20]}-{short}", holds)


def bytecode_folder(cache: Path, sha256: str, short: str) -> Path:
    """Return the folder of a cache for the bytecode of a wheel's modules, which lies in it as below ``site-packages``.

    Args: as of :func:`trial_prefix`.
    """
    return cached_path(cache, "sites", f"{sha256[:20]}-{short}-bytecode")


def link_files(prefix: CachedFolder, folder: Path) -> bool:
    """Put hard links to the files of an installed wheel into an empty folder; return whether that was possible.

    They are the files that its RECORD lists. What else lies there is no part of the wheel: bytecode, uv's lock, and
    what a trial without a sandbox wrote.
    """
    record = next(prefix.path.glob(prefix.holds[0]), None)
    if record is None:
        return False
    rows = csv.reader(io.StringIO(record.read_text()))
    files = [Path(os.path.normpath(record.parents[1] / path)) for path, *_ in rows]
    # Bytecode that the wheel brought may have been compiled anew since.
    if any(file.parent.name == "__pycache__" or not file.is_file() for file in files):
        return False
    for file in files:
        place_link(file, folder / file.relative_to(prefix.path))
    return True
