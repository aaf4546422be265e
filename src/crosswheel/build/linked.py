"""Read the records of the linker and rustc about the code linked into a build's output.

The records lie in a folder that the build can write to, because its compilers run inside it. So they are untrusted
input: a build that changes them can only misrepresent itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from crosswheel.errors import BuildFailed
from crosswheel.toolchain.compilers.link_map import SUFFIX

_LARGEST = 64 << 20
_MOST = 50_000
_RUST_OBJECT = re.compile(r".*\.rcgu\.o|lib\.rmeta|rust\.metadata\.bin")
_RLIB = re.compile(r"lib(\w+?)(-[0-9a-f]{16})?\.rlib")
_NATIVE_OF_CRATE = re.compile(r"/build/([^/]+)-[0-9a-f]{16}/out/")


class LinkRecord(BaseModel):
    """A linker's record: the members that it took from each archive, and the rustc call that started it.

    ``output`` and the paths of ``archives`` and ``objects`` are as the build saw them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    output: str
    build_id: str | None
    package: str | None
    crate: str | None
    archives: dict[str, list[str]]
    objects: list[str]


@dataclass(frozen=True)
class Crate:
    """A call of rustc: the package that cargo compiled, and the crates passed to it.

    Attributes:
        licence: the licence in its manifest, verbatim.
        name: the crate's name for rustc.
        key: the name and suffix under which other crates receive it: ``libNAME-HASH``.
        given: keys of the crates that it uses; not macros, which run on the build machine.
        for_target: whether it is compiled for the target, and not for the build machine.
    """

    package: str
    version: str
    licence: str | None
    name: str
    key: str
    kinds: tuple[str, ...]
    given: tuple[str, ...]
    for_target: bool

    @property
    def is_script(self) -> bool:
        """Whether it is a build script, which runs on the build machine."""
        return self.name.startswith("build_script_")


@dataclass(frozen=True)
class Records:
    """All records of one build's compilers."""

    links: tuple[LinkRecord, ...]
    crates: Mapping[str, Crate]

    def crates_in(self, link: LinkRecord) -> list[Crate]:
        """Return the crates with code in a linked file: those passed to rustc, and their dependencies."""
        roots = [crate for crate in self.crates.values() if crate.for_target and _is_root(crate, link)]
        reached: dict[str, Crate] = {}
        pending = [crate.key for crate in roots]
        while pending:
            key = pending.pop()
            crate = self.crates.get(key)
            if crate and key not in reached:
                reached[key] = crate
                pending += crate.given
        return [reached[key] for key in sorted(reached)]

    def build_script_of(self, package: str) -> Iterator[Crate]:
        """Yield the crates that a package's build script received."""
        for script in self.crates.values():
            if script.is_script and script.package == package:
                yield from (self.crates[key] for key in script.given if key in self.crates)

    def whole(self, link: LinkRecord) -> Mapping[str, set[str]]:
        """Return the members by archive of a link, including those in objects that were linked before."""
        partial = {earlier.output: earlier for earlier in self.links}
        taken: dict[str, set[str]] = {}
        pending, seen = [link], {link.output}
        while pending:
            current = pending.pop()
            for archive, members in current.archives.items():
                taken.setdefault(archive, set()).update(members)
            earlier = [path for path in current.objects if path in partial and path not in seen]
            seen.update(earlier)
            pending += [partial[path] for path in earlier]
        return taken


def _is_root(crate: Crate, link: LinkRecord) -> bool:
    if (crate.package, crate.name) == (link.package, link.crate):
        return bool({"cdylib", "bin", "dylib"} & {*crate.kinds})
    archives = {Path(path).name for path in link.archives}
    return "staticlib" in crate.kinds and f"lib{crate.name}.a" in archives


def read_records(folder: Path) -> Records:
    """Read the records of a build's compilers.

    Raises:
        BuildFailed: a file is no record, so the build itself wrote there.
    """
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    if len(paths) > _MOST:
        raise _unreadable(folder, f"it has {len(paths)} files")
    links, crates = [], {}
    for path in paths:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > _LARGEST:
            raise _unreadable(path, "it is no file of a record's size")
        if path.name.endswith(SUFFIX):
            try:
                links.append(LinkRecord.model_validate_json(path.read_bytes()))
            except ValidationError as error:
                raise _unreadable(path, f"{error.error_count()} of its parts are wrong") from error
        elif path.suffix == ".rustc":
            crate = _crate(path.read_bytes())
            if crate:
                crates[crate.key] = crate
    # Their files have random names; sort their contents.
    return Records(tuple(sorted(links, key=lambda link: (link.output, link.build_id or ""))), crates)


def _unreadable(path: Path, reason: str) -> BuildFailed:
    return BuildFailed(
        f"the record of what was linked, {path.name}, cannot be read: {reason}",
        hint="something in the build writes to the folder that CROSSWHEEL_LINKS names; mend it with a patch.",
    )


def _crate(text: bytes) -> Crate | None:
    """Return the crate in a record of rustc; ``None`` if the call was only a query."""
    package, version, licence, *words = text.decode(errors="replace").split("\0")[:-1] or ["", "", ""]
    values: dict[str, list[str]] = {}
    for before, word in zip(["", *words], words):
        option, equals, value = word.partition("=")
        if option in ("--crate-name", "--crate-type", "--target") and equals:
            values.setdefault(option, []).append(value)
        elif before in ("--crate-name", "--crate-type", "--target", "--extern"):
            values.setdefault(before, []).append(word)
        elif before == "-C" and option == "extra-filename":
            values.setdefault(option, []).append(value)
    name = values.get("--crate-name", [""])[0]
    if not name or not package:
        return None
    given = [_key(Path(value.partition("=")[2]).name) for value in values.get("--extern", ())]
    return Crate(
        package,
        version,
        licence or None,
        name,
        f"{name}{values.get('extra-filename', [''])[0]}",
        tuple(values.get("--crate-type", ())),
        tuple(key for key in given if key),
        "--target" in values,
    )


def _key(file: str) -> str | None:
    """Return the key of a crate from its file: an rlib, or the metadata written before it."""
    stem, dot, kind = file.rpartition(".")
    return stem[len("lib") :] if dot and kind in ("rlib", "rmeta") and stem.startswith("lib") else None


def native_members(archive: str, members: Iterable[str]) -> set[str]:
    """Return the members of a crate's archive that rustc did not compile: the crate's bundled C code."""
    if not archive.endswith(".rlib"):
        return set()
    return {member for member in members if not _RUST_OBJECT.fullmatch(member)}


def crate_of_archive(archive: str, crates: Sequence[Crate]) -> Crate | None:
    """Return the crate that an archive with C code belongs to: its own archive, or one made by its build script."""
    named = _RLIB.fullmatch(Path(archive).name)
    if named:
        key = f"{named[1]}{named[2] or ''}"
        return next((crate for crate in crates if crate.key == key), None)
    built = _NATIVE_OF_CRATE.search(archive)
    return next((crate for crate in crates if built and crate.package == built[1]), None)
