"""What code that is not ours may see and use."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

# What every program needs: the system's programs and libraries, and the few files by which the C library finds them.
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_SETTINGS = (
    "alternatives", "group", "hosts", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "mime.types",
    "nsswitch.conf", "os-release", "passwd", "perl", "services",
)  # fmt: skip
_MiB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """How much a program may take, children included where the kernel counts so.

    Attributes:
        memory: bytes of private memory of one process (``RLIMIT_DATA``).
        file_size: bytes of the largest file that it may write.
        processes: how many processes and threads the user may have at once.
    """

    memory: int = field(default_factory=lambda: os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    file_size: int = 8192 * _MiB
    processes: int = 4096


@dataclass(frozen=True)
class View:
    """The files that a program sees; it sees no others, no network, and no other process.

    Attributes:
        readable: files and folders that it may read and execute.
        writable: folders that it may write to.
        layered: folders that it may write to without changing them.
        copies: where copies of those are kept from one program to the next, if they have to be copied; otherwise, what
            is written to them is gone when the program ends.
    """

    readable: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()
    layered: tuple[Path, ...] = ()
    limits: Limits = field(default_factory=Limits)
    copies: Path | None = None

    def writing(self, paths: Iterable[Path]) -> View:
        """Return the same view with more to write to."""
        return replace(self, writable=tuple(dict.fromkeys((*self.writable, *paths))))


def cache_paths(cache: Path) -> tuple[Path, ...]:
    """Return what is to be readable of the cache: its folder, and where links in it lead, as to another disk."""
    links = [path for path in cache.iterdir() if path.is_symlink()] if cache.is_dir() else []
    return (cache, *(step for path in links if path.exists() for step in _steps(path)))


def _steps(link: Path) -> Iterator[Path]:
    """Yield where a link leads, link by link."""
    while link.is_symlink():
        link = Path(os.path.normpath(link.parent / link.readlink()))
        yield link
    yield link.resolve()


def system_paths() -> tuple[Path, ...]:
    """Return what every program needs of the host, as far as it is there."""
    named = [*map(Path, _SYSTEM), *(Path("/etc") / name for name in _SETTINGS)]
    # Our own interpreter runs the compilers' driver, which is in this package.
    named += [Path(sys.prefix), Path(sys.base_prefix), Path(__file__).parents[1]]
    return tuple(path for path in named if path.exists())
