"""Read SBOMs by other tools: the parts of a wheel, and their parts.

An SBOM inside a wheel from the registry is untrusted input. Only the necessary fields are read, with limits on size,
depth and number of components. A field of a type that CycloneDX does not allow is refused.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from email.parser import BytesParser
from email.policy import compat32
from pathlib import Path
from typing import Any, NoReturn

from packageurl import PackageURL
from packaging.utils import canonicalize_name

from crosswheel.errors import IntegrityError
from crosswheel.provenance.sbom import NAMESPACE, SBOM_NAME
from crosswheel.wheels.materials import Material
from crosswheel.wheels.reading import ZIP_ERRORS, read_metadata

LARGEST = 32 << 20
"""The size limit of an SBOM in bytes; some tools list every file in it."""
INTERPRETER = "interpreter"
"""The role of a Python that is installed with wheels."""
_DEEPEST = 100
_MOST = 20_000
_SBOM = re.compile(r"[^/]+\.dist-info/sboms/[^/]+\.json")
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')


@dataclass(frozen=True)
class Part:
    """A component of an SBOM.

    Attributes:
        debian: the source package under which Debian's advisories list it.
        role: crosswheel's word for its role, such as ``crate``; empty in SBOMs by other tools.
        licence: an SPDX expression or a name.
        sha256: the hash of the file that it came in.
        parts: the components inside it.
    """

    name: str
    version: str | None = None
    purl: str | None = None
    debian: str | None = None
    role: str = ""
    licence: str | None = None
    sha256: str | None = None
    parts: tuple[Part, ...] = ()

    def every(self) -> Iterator[tuple[Part, ...]]:
        """Yield each part, this one first, as the path of parts that leads to it."""
        yield (self,)
        for part in self.parts:
            yield from ((self, *way) for way in part.every())


def part_of(material: Material) -> Part:
    """Return a material as a part that has no parts itself."""
    return Part(
        material.name,
        material.version,
        material.purl,
        material.debian,
        material.role,
        material.licence,
        material.sha256[0] if len(material.sha256) == 1 else None,
    )


def read_sbom(data: bytes, title: str) -> Part:
    """Return the subject of an SBOM with all of its components that are not excluded.

    Args:
        title: where the SBOM lies, for errors.

    Raises:
        IntegrityError: it is not a CycloneDX SBOM in JSON, or is too large, too deep or malformed.
    """
    subject, parts = _read(data, title)
    return replace(subject, parts=(*subject.parts, *parts))


def read_closure(data: bytes, title: str) -> tuple[Part, ...]:
    """Return the wheels of a closure's SBOM, the root's first; errors as in :func:`read_sbom`."""
    subject, parts = _read(data, title)
    return (subject, *parts)


def _read(data: bytes, title: str) -> tuple[Part, tuple[Part, ...]]:
    """Return the subject of an SBOM, and its other components."""
    document = _object(_parsed(data, title), title)
    if document.get("bomFormat") != "CycloneDX":
        _refuse(title, "it is not of CycloneDX")
    counter = [0]
    subject = _object(_object(document.get("metadata", {}), title).get("component", {}), title)
    described = _part(subject, title, counter) if subject else Part(title)
    return described, _parts(document, title, counter)


def _parsed(data: bytes, title: str) -> object:
    if len(data) > LARGEST:
        _refuse(title, f"it has {len(data) >> 20} MiB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        _refuse(title, "it is not UTF-8", error)
    depth = 0
    for match in _BRACKETS.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(match[0], 0)
        if depth > _DEEPEST:
            _refuse(title, f"more than {_DEEPEST} things are in one another")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        _refuse(title, f"it is not JSON: {error}", error)


def _parts(owner: Mapping[str, Any], title: str, counter: list[int]) -> tuple[Part, ...]:
    components = owner.get("components", [])
    if not isinstance(components, list):
        _refuse(title, "`components` is not a list")
    found = [_object(component, title) for component in components]
    return tuple(_part(item, title, counter) for item in found if item.get("scope") != "excluded")


def _part(component: Mapping[str, Any], title: str, counter: list[int]) -> Part:
    counter[0] += 1
    if counter[0] > _MOST:
        _refuse(title, f"it has more than {_MOST} components")
    properties = _properties(component, title)
    purl = _text(component, "purl", title)
    if purl is not None:
        try:
            PackageURL.from_string(purl)
        except ValueError as error:
            _refuse(title, f"{purl[:80]!r} is no package URL", error)
    return Part(
        _text(component, "name", title) or "?",
        _text(component, "version", title),
        purl,
        properties.get(f"{NAMESPACE}:debian-source"),
        properties.get(f"{NAMESPACE}:role", ""),
        _licence(component, title),
        _sha256(component, title),
        _parts(component, title, counter),
    )


def _properties(component: Mapping[str, Any], title: str) -> Mapping[str, str]:
    stated = component.get("properties", [])
    if not isinstance(stated, list):
        _refuse(title, "`properties` is not a list")
    pairs = [_object(item, title) for item in stated]
    return {_text(item, "name", title) or "": _text(item, "value", title) or "" for item in pairs}


def _licence(component: Mapping[str, Any], title: str) -> str | None:
    stated = component.get("licenses", [])
    if not isinstance(stated, list):
        _refuse(title, "`licenses` is not a list")
    for item in (_object(choice, title) for choice in stated):
        licence = _object(item.get("license", {}), title)
        text = (
            _text(item, "expression", title) or _text(licence, "id", title) or _text(licence, "name", title)
        )
        if text:
            return text
    return None


def _sha256(component: Mapping[str, Any], title: str) -> str | None:
    stated = component.get("hashes", [])
    if not isinstance(stated, list):
        _refuse(title, "`hashes` is not a list")
    hashes = [_object(item, title) for item in stated]
    found = (_text(item, "content", title) for item in hashes if item.get("alg") == "SHA-256")
    return next((value for value in found if value and re.fullmatch("[0-9a-fA-F]{64}", value)), None)


def _object(value: object, title: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        _refuse(title, f"{str(value)[:40]!r} stands where an object is expected")
    return value


def _text(owner: Mapping[str, Any], key: str, title: str) -> str | None:
    value = owner.get(key)
    if value is not None and not isinstance(value, str):
        _refuse(title, f"`{key}` is not a text")
    return value


def _refuse(title: str, reason: str, cause: BaseException | None = None) -> NoReturn:
    raise IntegrityError(
        f"the SBOM {title} cannot be read: {reason}",
        hint="tell the authors of the wheel; it tells nothing of what is in the wheel.",
    ) from cause


def parts_of_wheel(path: Path, sha256: str) -> tuple[Part, list[str]]:
    """Return a wheel with the contents of its SBOMs (PEP 770), and the reasons why some are unreadable.

    SBOMs in formats other than CycloneDX as JSON, such as SPDX, are ignored.

    Raises:
        IntegrityError: the wheel cannot be read.
    """
    parts, refusals = list[Part](), list[str]()
    name, version = path.name.split("-")[:2]
    try:
        with zipfile.ZipFile(path) as archive:
            metadata = BytesParser(policy=compat32).parsebytes(read_metadata(path), headersonly=True)
            for entry in _sboms(archive):
                title = f"{path.name}: {entry.filename}"
                if entry.file_size > LARGEST:
                    refusals.append(f"the SBOM {title} cannot be read: it has {entry.file_size >> 20} MiB")
                    continue
                data = archive.read(entry)
                if b"CycloneDX" not in data:
                    continue
                try:
                    parts += _without(read_sbom(data, title))
                except IntegrityError as error:
                    refusals.append(error.message)
    except (*ZIP_ERRORS,) as error:
        raise IntegrityError(
            f"{path.name} cannot be read: {error}", hint="make or fetch it again."
        ) from error
    name = canonicalize_name(name)
    url = PackageURL("pypi", None, name, version, {"file_name": path.name})
    return Part(
        name,
        version,
        url.to_string(),
        None,
        "wheel",
        metadata["License-Expression"],
        sha256,
        _distinct(parts),
    ), refusals


def _sboms(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return the SBOMs of a wheel to read; crosswheel's own suffices, because it lists the linked code.

    The others next to it list what a tool found in lock files.
    """
    entries = [entry for entry in archive.infolist() if _SBOM.fullmatch(entry.filename)]
    own = [entry for entry in entries if entry.filename.endswith(f"/{SBOM_NAME}")]
    return own or sorted(entries, key=lambda entry: entry.filename)


def _without(part: Part) -> tuple[Part, ...]:
    """Return the components of an SBOM, and its subject if that is not the wheel's own package."""
    is_wheel = not part.purl or PackageURL.from_string(part.purl).type == "pypi"
    return part.parts if is_wheel else (replace(part, parts=()), *part.parts)


def _distinct(parts: list[Part]) -> tuple[Part, ...]:
    """Return parts without duplicates: of several with one package URL, the first."""
    found: dict[object, Part] = {}
    for part in parts:
        found.setdefault(part.purl or part, part)
    return tuple(found.values())
