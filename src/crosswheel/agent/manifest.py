"""Defines the descriptions of releases and packages, and computes their names from them.

A release lists its packages by the digest of each package's list of files. The lists themselves are separate, as a
robot already has most packages of a new release.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, Union

if TYPE_CHECKING:  # an older Python has to load this module in order to be refused
    from collections.abc import Callable, Iterable

    Manifest = dict[str, Any]
    # A file of a package: its path in an environment, SHA-256, size, and whether it is executable.
    Entry = tuple[str, str, int, bool]
    # The key of a file: its SHA-256, and whether it is executable; hard links share both.
    Key = tuple[str, bool]
    # Returns the bytes of a file, given its SHA-256 and size.
    BytesOf = Callable[[str, int], Iterable[Union[bytes, memoryview]]]

# The package of a release that is its Python, in a folder of its own. The name cannot be a distribution's, whose
# normalised names have no capitals.
PYTHON, PYTHON_FOLDER = "CPython", "python"
SBOM = "sbom.cdx.json"
"""The SBOM of an environment (CycloneDX), in its top folder."""


class Refused(Exception):
    """A request is refused; ``kind`` is for programs, the text for people."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def digest_of_package(name: str, version: str, files: list[Entry]) -> str:
    """Return a package's digest: of its files with their paths, hashes, sizes and permissions."""
    content = [name, version, [list(entry) for entry in files]]
    return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()


def id_of(release: Manifest) -> str:
    """Return a release's name, a digest of its content."""
    packages = [[p["name"], p["version"], p["digest"]] for p in release["packages"]]
    content = {**release, "packages": packages}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def is_name(name: str) -> bool:
    """Tell whether a text may be the name of an environment."""
    return bool(re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name))


def require_name(name: str) -> str:
    """Return an environment's name, which becomes a folder's; raise :class:`Refused` if it is not allowed."""
    if not is_name(name):
        raise Refused("name", f"{name!r} is not a valid name of an environment")
    return name
