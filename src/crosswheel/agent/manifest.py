"""What a release and its packages say of themselves, and the names that they have by that.

A release lists its packages; each is named by a digest of its list of files, which is kept apart: most packages of a
new release are known already.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, Union

if TYPE_CHECKING:  # an older Python has to come as far as to be refused
    from collections.abc import Callable, Iterable

    Manifest = dict[str, Any]
    # A file of a package: its path in an environment, SHA-256, size, and whether it is executable.
    Entry = tuple[str, str, int, bool]
    # What a file is found by: its SHA-256, and whether it is executable; both belong to what a hard link shares.
    Key = tuple[str, bool]
    # Gives the bytes of a file, by SHA-256 and size.
    BytesOf = Callable[[str, int], Iterable[Union[bytes, memoryview]]]

# A package of a release that is the Python which runs it, in a folder of its own. No distribution has capitals in its
# normalised name.
PYTHON, PYTHON_FOLDER = "CPython", "python"
SBOM = "sbom.cdx.json"
"""What is in an environment, in its top folder: CycloneDX."""


class Refused(Exception):
    """A request cannot be done; ``kind`` is for programs, the text for people."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def digest_of_package(name: str, version: str, files: list[Entry]) -> str:
    """Return the name of a package by its content: files with their places, hashes, sizes and permissions."""
    content = [name, version, [list(entry) for entry in files]]
    return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()


def id_of(release: Manifest) -> str:
    """Return the name of a release by its content."""
    packages = [[p["name"], p["version"], p["digest"]] for p in release["packages"]]
    content = {**release, "packages": packages}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def is_name(name: str) -> bool:
    """Return whether an environment may have a name."""
    return bool(re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name))


def require_name(name: str) -> str:
    """Return the name of an environment; raise :class:`Refused` if it is none: it becomes that of a folder."""
    if not is_name(name):
        raise Refused("name", f"{name!r} is no name for an environment")
    return name
