"""Wheels made in a moment: real zip files with right metadata and a right RECORD."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from packaging.tags import parse_tag
from packaging.utils import canonicalize_name


def make_wheel(
    folder: Path,
    name: str,
    version: str,
    files: Mapping[str, bytes],
    *,
    tag: str = "py3-none-any",
    requires: Iterable[str] = (),
    requires_python: str | None = None,
    dist_info: Mapping[str, bytes] | None = None,
    instead: Mapping[str, bytes | None] | None = None,
) -> Path:
    """Write a wheel into ``folder`` and return its path.

    ``files`` are its members by path, ``requires`` its Requires-Dist; ``dist_info`` has further files of the
    dist-info folder, or other text for METADATA and WHEEL. ``instead`` spoils what was put into RECORD
    already: members whose bytes are these instead, or that are absent (``None``); RECORD itself too.
    """
    base = f"{canonicalize_name(name).replace('-', '_')}-{version}"
    info = f"{base}.dist-info"
    members = {
        **files,
        f"{info}/METADATA": _metadata(name, version, requires, requires_python),
        f"{info}/WHEEL": _wheel(tag),
        **{f"{info}/{path}": data for path, data in (dist_info or {}).items()},
    }
    members[f"{info}/RECORD"] = _record(members, f"{info}/RECORD")
    for path, data in (instead or {}).items():
        full = f"{info}/RECORD" if path == "RECORD" else path
        if data is None:
            del members[full]
        else:
            members[full] = data
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{base}-{tag}.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in members.items():
            archive.writestr(zipfile.ZipInfo(path), data, zipfile.ZIP_DEFLATED)
    return wheel


def deflated_at(level: int, wheel: Path) -> Path:
    """Write a wheel anew with its members deflated at a level of zlib's, and return it."""
    with zipfile.ZipFile(wheel) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as archive:
        for path, data in members.items():
            archive.writestr(path, data)
    return wheel


def _metadata(name: str, version: str, requires: Iterable[str], requires_python: str | None) -> bytes:
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    if requires_python:
        lines.append(f"Requires-Python: {requires_python}")
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    return ("\n".join(lines) + "\n").encode()


def _wheel(tag: str) -> bytes:
    tags = "".join(f"Tag: {single}\n" for single in sorted(map(str, parse_tag(tag))))
    pure = "true" if tag.endswith("-none-any") else "false"
    return f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: {pure}\n{tags}".encode()


def _record(members: Mapping[str, bytes], itself: str) -> bytes:
    lines = []
    for path, data in members.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        lines.append(f"{path},sha256={digest},{len(data)}")
    return ("\n".join([*lines, f"{itself},,"]) + "\n").encode()
