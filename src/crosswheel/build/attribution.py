"""Derive the materials of a wheel from its build: the source, linked code, and the build requirements."""

from __future__ import annotations

import hashlib
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32
from functools import cached_property
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from packageurl import PackageURL
from packaging.utils import canonicalize_name

from crosswheel.build.bundling import Contents
from crosswheel.build.linked import Crate, LinkRecord, Records, crate_of_archive, native_members, read_records
from crosswheel.build.requirements import LockedRequirements
from crosswheel.recipes.model import GithubSource, GitSource, PypiSource, Recipe, Source, UrlSource
from crosswheel.toolchain.compilers.link_map import build_id_of
from crosswheel.toolchain.compilers.zig import libcxx_version, zig_version
from crosswheel.toolchain.environment import CrossEnvironment
from crosswheel.toolchain.libraries.archives import archive_members
from crosswheel.toolchain.libraries.builds import LINKS
from crosswheel.toolchain.libraries.library_materials import library_materials
from crosswheel.toolchain.libraries.linking import Library
from crosswheel.wheels.materials import Material, Materials, Patch

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# zig compiles its runtime libraries on first use, each into a folder of its cache.
_OF_ZIG = re.compile(
    r"/o/[0-9a-f]{32}/lib(c\+\+|c\+\+abi|unwind|compiler_rt|c_nonshared|ubsan_rt|fuzzer)\.a$"
)
_OF_GCC = re.compile(r"/lib(gfortran|gcc|gcc_eh|quadmath|atomic|stdc\+\+)\.a$")
_OF_RUST = re.compile(r"/rustlib/[^/]+/lib/lib[^/]+\.rlib$")
_COMPAT = "libcrosswheel-compat.a"
_LLVM = "Apache-2.0 WITH LLVM-exception"
_GCC = "GPL-3.0-or-later WITH GCC-exception-3.1"


def source_material(name: str, version: str, source: Source, digest: str, recipe: Recipe | None) -> Material:
    """Return the source of a package as a material.

    Args:
        source: the origin.
        digest: its digest, as in :class:`~crosswheel.sources.SourceTree`.
        recipe: the recipe whose patches apply.
    """
    patches = recipe.patches if recipe else ()
    kind, _, value = digest.partition(":")
    return Material(
        role="source",
        name=name,
        version=version,
        purl=_purl_of_source(source, name, version).to_string(),
        sha256=(value,) if kind == "sha256" else (),
        commit=None if kind == "sha256" else digest,
        patches=tuple(_patch(recipe.folder / patch) for patch in patches) if recipe else (),
    )


def _patch(path: Path) -> Patch:
    data = path.read_bytes()
    return Patch(name=path.name, sha256=hashlib.sha256(data).hexdigest(), text=data.decode(errors="replace"))


def _purl_of_source(source: Source, name: str, version: str) -> PackageURL:
    if isinstance(source, PypiSource):
        return PackageURL("pypi", None, canonicalize_name(source.name), source.version)
    if isinstance(source, GithubSource):
        return PackageURL("github", source.org.lower(), source.repo.lower(), source.tag)
    assert isinstance(source, (GitSource, UrlSource))
    return PackageURL("generic", None, canonicalize_name(name), version)


def materials_of(
    contents: Contents, source: Material, linked: LinkedMaterials, required: tuple[Material, ...]
) -> Materials:
    """Return all materials of a wheel; linked ones name the files that contain them.

    Raises:
        BuildFailed: the compilers' records cannot be read.
    """
    by_build_id, files, unknown = linked.by_build_id(), dict[Material, list[str]](), []
    parts = {name: linked.of_shared(library) for name, library in contents.bundled.items()}
    for name, data in contents.objects.items():
        build_id = build_id_of(data)
        if build_id and build_id in by_build_id:
            parts[name] = by_build_id[build_id]
        else:
            unknown.append(name)
    for name, materials in sorted(parts.items()):
        for material in materials:
            files.setdefault(material, []).append(name)
    every = [material.model_copy(update={"files": tuple(names)}) for material, names in files.items()]
    every.sort(key=lambda material: (material.role, material.name, material.version or ""))
    return Materials(
        source=source, linked=tuple(every), requirements=required, unknown=tuple(sorted(unknown))
    )


def required_materials(venv: Path, locked: LockedRequirements) -> tuple[Material, ...]:
    """Return the releases in a build environment, with the file that each was installed from."""
    materials = [_installed_material(metadata, locked) for _, metadata in _installed(venv)]
    return tuple(sorted(materials, key=lambda material: material.name))


def _installed(venv: Path) -> Iterator[tuple[Path, Message]]:
    for file in sorted(venv.glob("lib/python*/site-packages/*.dist-info/METADATA")):
        yield file.parent, BytesParser(policy=compat32).parsebytes(file.read_bytes(), headersonly=True)


def _installed_material(metadata: Message, locked: LockedRequirements | None) -> Material:
    name, version = canonicalize_name(str(metadata["Name"])), str(metadata["Version"])
    file, sha256 = locked.material(name, version) if locked else (None, ())
    return Material(
        role="requirement",
        name=name,
        version=version,
        purl=PackageURL("pypi", None, name, version).to_string(),
        licence=metadata["License-Expression"],
        sha256=sha256,
        file=file,
    )


@dataclass(frozen=True)
class LinkedMaterials:
    """The materials that the compilers of a build linked.

    Attributes:
        folder: the folder with the compilers' records.
        tree: the source tree; code compiled in it belongs to the source.
    """

    environment: CrossEnvironment
    venv: Path
    tree: Path
    folder: Path

    def by_build_id(self) -> Mapping[str, list[Material]]:
        """Return the materials in each linked file, by its build ID.

        Raises:
            BuildFailed: the records cannot be read.
        """
        records = read_records(self.folder)
        return {link.build_id: self._materials(link, records) for link in records.links if link.build_id}

    def of_shared(self, library: Library) -> list[Material]:
        """Return a shared library that goes into a wheel, with the materials in it."""
        materials = library_materials(library)
        for link in read_records(library.prefix / LINKS).links:
            materials += self._materials(link, Records((link,), {}))
        return _distinct(materials)

    def _materials(self, link: LinkRecord, records: Records) -> list[Material]:
        crates = records.crates_in(link)
        materials = [material for crate in crates for material in self._crate_material(crate)]
        for archive, members in records.whole(link).items():
            materials += self._archive_materials(archive, members, crates, records)
        return _distinct(materials)

    def _archive_materials(
        self, archive: str, members: set[str], crates: Sequence[Crate], records: Records
    ) -> list[Material]:
        runtime = self._runtime(archive)
        if runtime:
            return [runtime]
        native = native_members(archive, members)
        owner = crate_of_archive(archive, crates)
        if owner:
            brought = native if archive.endswith(".rlib") else members
            return self._from_libraries(brought) or (self._native_of(owner, records) if brought else [])
        for library in self.environment.libraries:
            if Path(archive).is_relative_to(library.prefix):
                return self._of_library(library, members)
        if Path(archive).is_relative_to(self.venv):
            return self._of_requirement(Path(archive))
        if Path(archive).is_relative_to(self.tree.parent) or archive.startswith(("/tmp/", "/build/")):
            return []  # made by the build from its own source
        return [Material(role="library", name=Path(archive).name)]

    def _runtime(self, archive: str) -> Material | None:
        """Return the compiler's runtime library that an archive is; ``None`` if it is not one."""
        versions = self.environment.versions
        of_zig, of_gcc = _OF_ZIG.search(archive), _OF_GCC.search(archive)
        if of_zig and of_zig[1] in ("c++", "c++abi", "unwind"):
            url = PackageURL("generic", "llvm", f"lib{of_zig[1]}")
            return _runtime(f"lib{of_zig[1]}", libcxx_version(), _LLVM, url)
        if of_zig:
            return _runtime(of_zig[1], zig_version(), "MIT", PackageURL("pypi", None, "ziglang"))
        if of_gcc and not Path(archive).is_relative_to(self.tree.parent):
            version = versions.get("gfortran") or versions.get("GCC")
            return _runtime(f"lib{of_gcc[1]}", version, _GCC, PackageURL("generic", "gcc", f"lib{of_gcc[1]}"))
        if _OF_RUST.search(archive):
            numbers = re.findall(r"\d[\w.]*", versions.get("rust", ""))  # rustc 1.85.0 (4d91de4e4 2025-02-17)
            url = PackageURL("generic", "rust", "std")
            return _runtime("rust-std", next(iter(numbers), None), "MIT OR Apache-2.0", url)
        if Path(archive).name == _COMPAT:
            url = PackageURL("pypi", None, "crosswheel")
            return _runtime("crosswheel-compat", installed_version("crosswheel"), "Apache-2.0", url)
        return None

    @cached_property
    def _members(self) -> Mapping[str, Counter[str]]:
        """The member names in each library's archives, without those of libraries merged into them."""
        every = {
            library.name: Counter(
                name
                for path in sorted((library.prefix / "lib").glob("*.a"))
                if not path.is_symlink()
                for name in {*archive_members(path)}
            )
            for library in self.environment.libraries
        }
        return {
            library.name: Counter(
                {
                    name: count
                    for name, count in every[library.name].items()
                    if not any(name in every[needed.name] for needed in library.needs)
                }
            )
            for library in self.environment.libraries
        }

    def _of_library(self, library: Library, members: set[str]) -> list[Material]:
        """Return a library if its own members were linked, and likewise each library merged into its archive."""
        inside = [item for item in self.environment.libraries if item.name in _names_needed(library)]
        merged = [item for item in inside if self._members[item.name].keys() & members]
        rest = members - {name for item in merged for name in self._members[item.name]}
        chosen = [*([library] if rest or not merged else []), *merged]
        runtimes = [self._runtime_in(item, members) for item in chosen]
        return [
            *(material for item in chosen for material in library_materials(item)),
            *(material for material in runtimes if material),
        ]

    def _runtime_in(self, library: Library, members: set[str]) -> Material | None:
        """Return Fortran's runtime library if it is merged into a library's archive and was linked from there."""
        file = library.prefix / "fortran-members"
        if not file.is_file():
            return None
        version, *names = file.read_text().splitlines()
        if not members & {*names}:
            return None
        return _runtime("libgfortran", version, _GCC, PackageURL("generic", "gcc", "libgfortran"))

    def _from_libraries(self, members: set[str]) -> list[Material]:
        """Return the libraries whose C code is in a crate: a crate's archive includes the libraries that it links."""
        return [
            material
            for library in self.environment.libraries
            if self._members[library.name].keys() & members
            for material in library_materials(library)
        ]

    def _of_requirement(self, archive: Path) -> list[Material]:
        """Return the release in the build environment that installed an archive."""
        for info, metadata in _installed(self.venv):
            path = archive.relative_to(info.parent) if archive.is_relative_to(info.parent) else None
            if path and (info / "RECORD").is_file() and f"{path}," in (info / "RECORD").read_text():
                requirement = _installed_material(metadata, None)
                return [requirement.model_copy(update={"role": "library"})]
        return [Material(role="library", name=archive.name)]

    def _crate_material(self, crate: Crate) -> list[Material]:
        """Return a crate that is not part of the package's own source."""
        locked = self._lock.get((crate.package, crate.version))
        if locked is None:
            return []
        source, checksum = locked
        return [
            Material(
                role="crate",
                name=crate.package,
                version=crate.version,
                purl=_crate_url(crate),
                licence=crate.licence.replace("/", " OR ") if crate.licence else None,
                sha256=(checksum,) if checksum else (),
                commit=f"git-commit:{source.rpartition('#')[2]}" if source.startswith("git+") else None,
            )
        ]

    def _native_of(self, crate: Crate, records: Records) -> list[Material]:
        """Return the C library that a crate compiled, from its own sources or from those of another crate."""
        carriers = [item for item in records.build_script_of(crate.package) if item.package.endswith("-src")]
        materials = [material for carrier in carriers for material in self._crate_material(carrier)]
        for carrier in carriers or [crate]:
            stated = re.fullmatch(r"(?:([a-z]\w*)\.)?(\d[\w.]*)", carrier.version.partition("+")[2])
            if stated:
                name = stated[1] or re.sub(r"-(src|sys)$", "", carrier.package)
                url = PackageURL("generic", None, name, stated[2]).to_string()
                parent = _crate_url(carrier)
                library = Material(
                    role="library", name=name, version=stated[2], purl=url, parent=parent, debian=name
                )
                materials.append(library)
        return materials

    @cached_property
    def _lock(self) -> Mapping[tuple[str, str], tuple[str, str | None]]:
        """The origin and hash of each crate in the project's locks; the project's own crates have no origin."""
        found: dict[tuple[str, str], tuple[str, str | None]] = {}
        for file in sorted(self.tree.rglob("Cargo.lock")):
            for package in _packages(file):
                if isinstance(package.get("source"), str):
                    key = (str(package.get("name")), str(package.get("version")))
                    found[key] = (package["source"], package.get("checksum"))
        return found


def _packages(lock: Path) -> list[dict[str, Any]]:
    try:
        packages = tomllib.loads(lock.read_text()).get("package", [])
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return []
    return [package for package in packages if isinstance(package, dict)]


def _crate_url(crate: Crate) -> str:
    return PackageURL("cargo", None, crate.package, crate.version).to_string()


def _runtime(name: str, version: str | None, licence: str, url: PackageURL) -> Material:
    purl = PackageURL(url.type, url.namespace, url.name, version).to_string()
    return Material(role="runtime", name=name, version=version, purl=purl, licence=licence)


def _names_needed(library: Library) -> set[str]:
    return {name for needed in library.needs for name in (needed.name, *_names_needed(needed))}


def _distinct(materials: Sequence[Material]) -> list[Material]:
    return list(dict.fromkeys(materials))
