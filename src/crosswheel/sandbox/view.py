"""Define what untrusted code may see and use."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from crosswheel.process import Limits

# Needed by every program: the system's programs and libraries, and the files by which the C library finds them.
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_SETTINGS = (
    "alternatives", "group", "hosts", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "mime.types",
    "nsswitch.conf", "os-release", "passwd", "perl", "services",
)  # fmt: skip
PACKAGE = Path(__file__).parents[1]
"""Where this package is: its compiler driver runs in the sandbox."""


@dataclass(frozen=True)
class View:
    """The files that a program sees. It sees no others, no network and no other process.

    Attributes:
        readable: files and folders that it may read and execute.
        writable: folders that it may write to.
        layered: folders that it may write to without changing them on the host.
        copies: a folder that keeps copies of layered folders between programs, if they have to be copied; otherwise
            changes are lost when the program ends.
    """

    readable: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()
    layered: tuple[Path, ...] = ()
    limits: Limits = field(default_factory=Limits)
    copies: Path | None = None

    def writing(self, paths: Iterable[Path]) -> View:
        """Return the same view with additional writable paths."""
        return replace(self, writable=tuple(dict.fromkeys((*self.writable, *paths))))


def cache_paths(cache: Path) -> tuple[Path, ...]:
    """Return the cache's readable paths: its folder, and the targets of links in it, such as on another disk."""
    links = [path for path in cache.iterdir() if path.is_symlink()] if cache.is_dir() else []
    return (cache, *(step for path in links if path.exists() for step in _steps(path)))


def _steps(link: Path) -> Iterator[Path]:
    """Yield each step of a chain of links."""
    while link.is_symlink():
        link = Path(os.path.normpath(link.parent / link.readlink()))
        yield link
    yield link.resolve()


def system_paths() -> tuple[Path, ...]:
    """Return the host's paths that every program needs and that exist."""
    named = [*map(Path, _SYSTEM), *(Path("/etc") / name for name in _SETTINGS)]
    # Our interpreter runs the compiler driver, which is in this package.
    named += [Path(sys.prefix), Path(sys.base_prefix), PACKAGE]
    return tuple(path for path in named if path.exists())
