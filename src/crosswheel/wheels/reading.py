"""Opens wheels, verifies that they are whole, and reads what is in them (PEP 427, PEP 376, PEP 425)."""

from __future__ import annotations

import base64
import configparser
import contextlib
import csv
import hashlib
import io
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import compat32
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, NoReturn

from packaging.metadata import InvalidMetadata, Metadata, RawMetadata, parse_email
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag, parse_tag
from packaging.utils import InvalidWheelFilename, NormalizedName, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from crosswheel.errors import IntegrityError
from crosswheel.wheels.legacy import repaired_requirement, repaired_specifiers

if TYPE_CHECKING:  # many callers read wheels and need no targets, which take long to import
    from crosswheel.targets import Target

_ELF_MAGIC = b"\x7fELF"
_BLOCK = 1 << 20
# No package for a robot is nearly this large; an archive that claims to be would only exhaust the memory.
_LARGEST_MEMBER, _LARGEST, _MOST_MEMBERS = 1 << 30, 2 << 30, 100_000
_LONGEST_NAME = 255  # bytes, on the file systems of Linux
_END_RECORD = 22  # bytes, of a zip archive without a comment
# RECORD's specification asks for SHA-256 or better, and forbids MD5 and SHA-1.
_RECORD_HASHES = ("sha256", "sha384", "sha512")
# The exceptions that zipfile raises for a damaged or malicious archive: NotImplementedError for an unknown
# compression, RuntimeError for an encrypted member, ValueError for a wrong offset.
ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)
# name.suffix, with a suffix that interpreters of any platform look for: .so, .pyd, .abi3.so,
# .cpython-310-x86_64-linux-gnu.so, .cp310-win_amd64.pyd, .pypy310-pp73-darwin.so
_EXTENSION = re.compile(r"(?P<name>[^.]+)(?P<suffix>(?:\.(?:cpython|cp|abi|pypy|graalpy)[^.]*)?\.(?:so|pyd))")
_PLAIN_SUFFIXES = (".so", ".pyd")
_SOURCES = (".py", ".pyc")
# Folders that projects put beside their package by mistake; importing them says nothing about the package.
BESIDE = frozenset(
    {"test", "tests", "doc", "docs", "example", "examples", "benchmark", "benchmarks", "setup"}
)


@dataclass(frozen=True)
class WheelModules:
    """The modules of a wheel, by dotted name.

    Attributes:
        extensions: the extension modules.
        pure: the packages and modules of Python source.
        not_importable: extension modules that Python cannot import, each with the reason.
        optional: the normalised names of the packages that extras bring, which only some of the modules may need.
    """

    extensions: tuple[str, ...] = ()
    pure: tuple[str, ...] = ()
    not_importable: Mapping[str, str] = field(default_factory=dict)
    optional: tuple[str, ...] = ()


@dataclass(frozen=True)
class WheelFile:
    """A wheel that was verified to be whole; :meth:`open` creates one.

    Attributes:
        path: its path.
        name: the normalised name of the project (PEP 503).
        version: its version (PEP 440).
        tags: the tags of its file name (PEP 425).
        members: the paths of all files in it, in the archive's order.
        elf_members: the members that begin as ELF objects do.
        metadata: its METADATA.
        oddities: departures from the standards, in words, which do not keep pip from installing it.
    """

    path: Path
    name: NormalizedName
    version: Version
    tags: frozenset[Tag]
    members: tuple[str, ...]
    elf_members: tuple[str, ...]
    metadata: Metadata = field(compare=False, repr=False)
    oddities: tuple[str, ...] = ()

    @classmethod
    def open(cls, path: Path) -> WheelFile:
        """Read and verify the whole of a wheel.

        Raises:
            IntegrityError: it is not a whole zip archive; a member has an unsafe path, is not in RECORD, or
                differs from RECORD; or METADATA contradicts the file name.
        """
        try:
            name, version, _, tags = parse_wheel_filename(path.name)
        except InvalidWheelFilename as error:
            raise IntegrityError(
                f"{path.name} is not the name of a wheel: {error}",
                hint="a wheel is named {name}-{version}-{python tag}-{abi tag}-{platform tag}.whl.",
            ) from error
        with _explained(path, "the archive"), zipfile.ZipFile(path) as archive:
            _verify_extent(path, archive.comment)
            members = _safe_members(path, archive)
            info = _dist_info(path, members)
            elf_members = _verify_record(path, archive, members, f"{info}/RECORD")
            raw, oddities = _mended(_read(path, archive, f"{info}/METADATA"))
            # Not validated as a whole: old wheels have mistakes in fields that crosswheel does not read.
            metadata = Metadata.from_raw(raw, validate=False)
            oddities += _other_tags(path, _read(path, archive, f"{info}/WHEEL"), tags)
            if f"{info}/entry_points.txt" in members:
                _verify_commands(path, _read(path, archive, f"{info}/entry_points.txt"))
        identity = _field(path, metadata, "name"), _field(path, metadata, "version")
        if (canonicalize_name(str(identity[0])), identity[1]) != (name, version):
            _refuse(path, f"its METADATA is that of {identity[0]} {identity[1]}")
        return cls(path, name, version, tags, members, elf_members, metadata, tuple(oddities))

    @property
    def requires_python(self) -> SpecifierSet | None:
        """Requires-Python; raises :class:`IntegrityError` if it is not a version specifier (PEP 440)."""
        value = _field(self.path, self.metadata, "requires_python")
        assert value is None or isinstance(value, SpecifierSet)
        return value

    @property
    def requires_dist(self) -> tuple[Requirement, ...]:
        """Requires-Dist; raises :class:`IntegrityError` if one is not a requirement (PEP 508)."""
        values = _field(self.path, self.metadata, "requires_dist")
        return tuple(values) if isinstance(values, list) else ()

    @property
    def is_pure(self) -> bool:
        """Whether its platform tag is ``any``: it claims to run on every platform."""
        return any(tag.platform == "any" for tag in self.tags)

    def read(self, member: str) -> bytes:
        """Return the bytes of a member; raises :class:`IntegrityError` if they cannot be read."""
        with _explained(self.path, member), zipfile.ZipFile(self.path) as archive:
            return _read(self.path, archive, member)

    @property
    def top_level_names(self) -> frozenset[str]:
        """The names that it adds to site-packages, without its metadata and the folders of bundled libraries.

        Packages are named by folder, modules by name without suffix, other files by file name.
        """
        names = {_top_level(path) for path in filter(None, map(installed_path, self.members))}
        return frozenset(name for name in names if not name.endswith((".dist-info", ".libs", ".dylibs")))

    @property
    def importable_names(self) -> tuple[str, ...]:
        """The Python packages and modules at its top level, without tests and the like.

        For a namespace package (PEP 420), which is only a folder, the packages and modules in it.
        """
        paths = [PurePosixPath(path) for path in filter(None, map(installed_path, self.members))]
        sources = [path.with_suffix("") for path in paths if path.suffix in _SOURCES]
        packages = {path.parent for path in sources if path.name == "__init__" and path.parent.name}
        top = {next(filter(packages.__contains__, reversed(path.parents)), path) for path in sources}
        named = {
            name.parts for name in top if all(map(str.isidentifier, name.parts)) and name.name[:2] != "__"
        }
        return tuple(sorted(map(".".join, {name for name in named if name[0] not in BESIDE} or named)))

    def modules(self, target: Target) -> WheelModules:
        """Return the modules that the target's Python can import, and those that it cannot."""
        extensions = tuple(self.extension_modules(target))
        optional = {
            canonicalize_name(required.name)
            for required in self.requires_dist
            if "extra ==" in str(required.marker)
        }
        return WheelModules(
            extensions, self.importable_names, self.not_importable(target), tuple(sorted(optional))
        )

    def extension_modules(self, target: Target) -> dict[str, str]:
        """Return the extension modules that the target's Python would load: dotted name to member."""
        loaded = {}
        # In reverse of the interpreter's search order, so that what it finds first is written last and wins.
        for suffix in (".so", ".abi3.so", target.extension_suffix):
            loaded.update({ext.module: ext.member for ext in self._extensions() if ext.suffix == suffix})
        return dict(sorted(loaded.items()))

    def not_importable(self, target: Target) -> dict[str, str]:
        """Return its extension modules that Python cannot import, but ctypes can load, each with the reason."""
        extensions = (
            _Extension(module, "", member) for module, member in self.extension_modules(target).items()
        )
        return {
            extension.module: f"a library for ctypes, and no module: it does not define {extension.initialiser}"
            for extension in extensions
            if not self._initialises(extension)
        }

    @property
    def extension_names(self) -> frozenset[str]:
        """The dotted names of its extension modules, for whatever platform."""
        return frozenset(extension.module for extension in self._extensions())

    def _extensions(self) -> Iterator[_Extension]:
        for member in self.members:
            extension = _extension(member)
            if extension and (extension.suffix not in _PLAIN_SUFFIXES or self._initialises(extension)):
                yield extension

    def _initialises(self, extension: _Extension) -> bool:
        """Tell an extension module from a plain library such as ``pkg/libfoo.so``, which ctypes would load."""
        content = self.read(extension.member)
        return f"{extension.initialiser}\0".encode() in content or b"PyInitU_" in content


def read_metadata(path: Path, opened: IO[bytes] | None = None) -> bytes:
    """Return a wheel's METADATA without reading the rest of the wheel.

    Args:
        path: the wheel's path.
        opened: the wheel, if it is already open.

    Raises:
        IntegrityError: METADATA cannot be read.
    """
    with _explained(path, "the archive"), zipfile.ZipFile(opened or path) as archive:
        usual = "-".join(path.name.split("-")[:2]) + ".dist-info/METADATA"
        members = archive.NameToInfo
        member = usual if usual in members else f"{_dist_info(path, tuple(members))}/METADATA"
        return _read(path, archive, member)


def installed_path(member: str) -> str | None:
    """Return a member's path below site-packages once it is installed; ``None`` if it is installed elsewhere.

    ``*.data/purelib`` and ``*.data/platlib`` are installed into site-packages itself; scripts, headers and data
    elsewhere (PEP 427).
    """
    parts = member.split("/")
    if not parts[0].endswith(".data"):
        return member
    return "/".join(parts[2:]) if parts[1] in ("purelib", "platlib") else None


@dataclass(frozen=True)
class _Extension:
    module: str
    suffix: str
    member: str

    @property
    def initialiser(self) -> str:
        """The function that an extension module exports (PEP 489), which encodes a name that is not ASCII."""
        return f"PyInit_{self.module.rpartition('.')[2]}"


def _extension(member: str) -> _Extension | None:
    path = PurePosixPath(installed_path(member) or "")
    match = _EXTENSION.fullmatch(path.name)
    # The folder of a package has no dot in its name; *.libs, *.dist-info and the like have.
    if match is None or any("." in folder for folder in path.parts[:-1]):
        return None
    # A compiled package is the module __init__ of its folder.
    names = path.parts[:-1] if match["name"] == "__init__" else (*path.parts[:-1], match["name"])
    return _Extension(".".join(names), match["suffix"], member)


def _top_level(path: str) -> str:
    first, _, below = path.partition("/")
    if below:
        return first
    extension = _EXTENSION.fullmatch(first)
    if extension:
        return extension["name"]
    return first[: -len(".py")] if first.endswith(".py") else first


def _refuse(path: Path, reason: str, cause: BaseException | None = None) -> NoReturn:
    raise IntegrityError(
        f"{path.name} is not a sound wheel: {reason}",
        hint="if it was downloaded, delete it and run again; if it stays so, what built it is to be mended.",
    ) from cause


@contextlib.contextmanager
def _explained(path: Path, subject: str) -> Iterator[None]:
    try:
        yield
    except ZIP_ERRORS as error:
        _refuse(path, f"{subject} cannot be read: {error}", error)


def _safe_members(path: Path, archive: zipfile.ZipFile) -> tuple[str, ...]:
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    if len(entries) > _MOST_MEMBERS:
        _refuse(path, f"it has {len(entries)} files")
    names: set[str] = set()
    for entry in entries:
        _verify_name(path, entry.filename)
        # Files of *.data/purelib are installed beside those of no *.data.
        for name in {entry.filename, installed_path(entry.filename) or entry.filename}:
            if name in names:
                _refuse(path, f"{name} is in it twice")
            names.add(name)
        if entry.file_size > _LARGEST_MEMBER:
            _refuse(path, f"{entry.filename} would be {entry.file_size >> 20} MiB large")
    if (size := sum(entry.file_size for entry in entries)) > _LARGEST:
        _refuse(path, f"its files would be {size >> 20} MiB large together")
    _verify_folders(path, names)
    return tuple(entry.filename for entry in entries)


def _verify_folders(path: Path, names: set[str]) -> None:
    folders: set[str] = set()
    for name in names:
        folder = name.rpartition("/")[0]
        while folder and folder not in folders:
            if folder in names:
                _refuse(path, f"{folder} is a file in it, and the folder of {name}")
            folders.add(folder)
            folder = folder.rpartition("/")[0]


def _verify_name(path: Path, name: str) -> None:
    parts = name.split("/")
    if "\\" in name or ":" in parts[0] or not all(parts) or {".", ".."} & set(parts):
        _refuse(path, f"{name!r} is not a path below the folder it is unpacked in")
    if max(len(os.fsencode(part)) for part in parts) > _LONGEST_NAME:
        _refuse(path, f"{name[:40]!r}... is longer than a file's name may be")
    if parts[0].endswith(".data") and len(parts) < 3:
        _refuse(path, f"{name!r} is in no folder of {parts[0]}, and so has no place where it is installed")


def _verify_extent(path: Path, comment: bytes) -> None:
    """Refuse bytes before or after the archive, as other programs might read a different archive there."""
    with path.open("rb") as stream:
        begins = stream.read(4) == b"PK\3\4"
        end = stream.seek(0, os.SEEK_END)
        stream.seek(max(end - _END_RECORD - len(comment), 0))
        ends = stream.read(4) == b"PK\5\6"
    if not (begins and ends):
        _refuse(path, f"something lies {'after' if begins else 'before'} its archive")


def _dist_info(path: Path, members: tuple[str, ...]) -> str:
    folders = {member.split("/")[0] for member in members if "/" in member}
    infos = [folder for folder in folders if folder.endswith(".dist-info")]
    if len(infos) != 1:
        _refuse(path, f"it has {len(infos)} dist-info folders instead of one")
    for member in members:
        installed = installed_path(member)
        if (
            installed is not None
            and installed != member
            and installed.partition("/")[0].endswith(".dist-info")
        ):
            _refuse(path, f"{member} would be installed into a dist-info folder")
    name, version, _, _ = parse_wheel_filename(path.name)
    said_name, _, said_version = infos[0][: -len(".dist-info")].rpartition("-")
    try:
        fits = (canonicalize_name(said_name), Version(said_version)) == (name, version)
    except InvalidVersion:
        fits = False
    if not fits:
        _refuse(path, f"{infos[0]} is not the dist-info folder of {name} {version}")
    return infos[0]


def _read(path: Path, archive: zipfile.ZipFile, member: str) -> bytes:
    with _explained(path, member):
        try:
            return archive.read(member)
        except KeyError:
            _refuse(path, f"it has no {member}")


def _verify_record(
    path: Path, archive: zipfile.ZipFile, members: tuple[str, ...], record: str
) -> tuple[str, ...]:
    """Check every member against RECORD, and return those that are ELF objects."""
    unhashed = {record, f"{record}.jws", f"{record}.p7s"}
    listed = _listed(path, _read(path, archive, record))
    missing = sorted(set(listed) - set(members) - unhashed)
    if missing:
        _refuse(path, f"{missing[0]} is listed in RECORD and not in it")
    elf_members = []
    for member in members:
        if member in unhashed:
            continue
        if member not in listed:
            _refuse(path, f"{member} is not listed in RECORD")
        if _verify_member(path, archive, member, *listed[member]) == _ELF_MAGIC:
            elf_members.append(member)
    return tuple(elf_members)


def _listed(path: Path, record: bytes) -> dict[str, tuple[str, str]]:
    """Return RECORD's entries: the hash and size of each member, as written."""
    listed = {}
    try:
        for number, row in enumerate(csv.reader(io.StringIO(record.decode(), newline="")), 1):
            if len(row) != 3:
                _refuse(path, f"line {number} of RECORD is not `path,hash,size`")
            listed[row[0]] = (row[1], row[2])
    except (UnicodeDecodeError, csv.Error) as error:
        _refuse(path, f"RECORD cannot be read: {error}", error)
    return listed


def _verify_member(path: Path, archive: zipfile.ZipFile, member: str, written: str, size: str) -> bytes:
    """Check a member's hash and size, and return its first four bytes."""
    algorithm, _, expected = written.partition("=")
    if algorithm not in _RECORD_HASHES:
        _refuse(
            path, f"RECORD has {algorithm or 'no hash'} for {member}, where SHA-256 or better is required"
        )
    digest = hashlib.new(algorithm)
    first, length = b"", 0
    with _explained(path, member), archive.open(member) as stream:
        for block in iter(lambda: stream.read(_BLOCK), b""):
            first = first or block[: len(_ELF_MAGIC)]
            length += len(block)
            digest.update(block)
    if base64.urlsafe_b64encode(digest.digest()).decode().rstrip("=") != expected.rstrip("="):
        _refuse(path, f"{member} does not have the hash that RECORD gives")
    if size and size != str(length):
        _refuse(path, f"{member} has {length} bytes, and RECORD says {size}")
    return first


def _field(path: Path, metadata: Metadata, name: str) -> object:
    try:
        value: object = getattr(metadata, name)
    except InvalidMetadata as error:
        _refuse(path, f"METADATA is wrong: {error}", error)
    return value


def _mended(text: bytes) -> tuple[RawMetadata, list[str]]:
    """Return METADATA with known mistakes in requirements repaired, and a sentence for each repair."""
    raw, _ = parse_email(text)
    notes = []

    def mended(original: str, mend: Callable[[str], str]) -> str:
        with contextlib.suppress(InvalidRequirement, InvalidSpecifier):  # it is refused when it is read
            better = mend(original)
            if better != original:
                notes.append(f"its METADATA has {original!r}, which is read as {better!r}")
            return better
        return original

    if "requires_dist" in raw:
        raw["requires_dist"] = [mended(each, repaired_requirement) for each in raw["requires_dist"]]
    if "requires_python" in raw:
        raw["requires_python"] = mended(raw["requires_python"], repaired_specifiers)
    return raw, notes


def _other_tags(path: Path, text: bytes, tags: frozenset[Tag]) -> list[str]:
    """Return a sentence if WHEEL has other tags than the file name, which is what installers read (PEP 427)."""
    message = BytesParser(policy=compat32).parsebytes(text)
    if str(message["Wheel-Version"]).split(".")[0] != "1":
        _refuse(path, f"it is of wheel version {message['Wheel-Version']}, and only 1.x is known")
    stated_tags = frozenset(
        tag for line in message.get_all("Tag", []) for tag in parse_tag(str(line).strip())
    )
    listed = ", ".join(sorted(map(str, stated_tags))) or "none"
    return [] if stated_tags == tags else [f"its WHEEL has other tags than its name: {listed}"]


def _verify_commands(path: Path, text: bytes) -> None:
    """Refuse a command whose script would be installed outside the folder of scripts."""
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[method-assign,assignment]
    try:
        parser.read_string(text.decode())
    except (UnicodeDecodeError, configparser.Error) as error:
        _refuse(path, f"entry_points.txt cannot be read: {error}", error)
    for section in ("console_scripts", "gui_scripts"):
        for name in parser.options(section) if parser.has_section(section) else ():
            if "/" in name or "\\" in name or name in (".", "..") or len(os.fsencode(name)) > _LONGEST_NAME:
                _refuse(path, f"{name[:80]!r} in entry_points.txt is not a command's name")
