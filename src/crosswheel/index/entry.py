"""One wheel as the index knows it: all that pages say of it, read from the wheel itself."""

from __future__ import annotations

import datetime
import email.parser
import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version
from pydantic import BaseModel, ConfigDict

from crosswheel.errors import IntegrityError
from crosswheel.files import sha256_of

YANKED_SUFFIX = ".yanked"
"""A file of this name beside a wheel yanks it (PEP 592); what is in the file is the reason."""


class Entry(BaseModel):
    """What the index says about one wheel.

    Attributes:
        filename: the wheel's file name.
        project: the project's name as its metadata spells it.
        name: the project's normalised name (PEP 503).
        version: the version, as the metadata spells it.
        sha256: hash of the wheel's bytes, in hexadecimal.
        size: in bytes.
        uploaded: when the wheel came into the index (PEP 700), UTC.
        metadata_sha256: hash of the wheel's METADATA (PEP 658).
        requires_python: as in the metadata.
        summary: the project's one-line description.
        yanked: why the wheel should not be used any more; an empty reason counts (PEP 592).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    filename: str
    project: str
    name: str
    version: str
    sha256: str
    size: int
    uploaded: datetime.datetime
    metadata_sha256: str
    requires_python: Optional[str] = None
    summary: str = ""
    yanked: Optional[str] = None


@dataclass(frozen=True)
class IndexedWheel:
    """A wheel on this machine, with its entry and the bytes of its METADATA."""

    path: Path
    entry: Entry
    metadata: bytes


def read_wheel(path: Path) -> IndexedWheel:
    """Read a wheel and what lies beside it.

    Raises:
        IntegrityError: it is not a wheel, or not the one that its file name promises.
    """
    try:
        name, version, _, _ = parse_wheel_filename(path.name)
        with zipfile.ZipFile(path) as archive:
            member = next(m for m in archive.namelist() if m.endswith(".dist-info/METADATA"))
            metadata = archive.read(member)
        headers = email.parser.Parser().parsestr(metadata.decode(), headersonly=True)
        fits = canonicalize_name(headers["Name"]) == name and Version(headers["Version"]) == version
    except (InvalidWheelFilename, InvalidVersion, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise _refused(path, str(error)) from error
    except StopIteration:
        raise _refused(path, "it has no METADATA") from None
    if not fits:
        raise _refused(path, f"its metadata says {headers['Name']} {headers['Version']}")
    status = path.stat()
    yanked = path.with_name(path.name + YANKED_SUFFIX)
    return IndexedWheel(
        path,
        Entry(
            filename=path.name,
            project=headers["Name"],
            name=name,
            version=headers["Version"],
            sha256=sha256_of(path),
            size=status.st_size,
            uploaded=datetime.datetime.fromtimestamp(int(status.st_mtime), datetime.timezone.utc),
            metadata_sha256=hashlib.sha256(metadata).hexdigest(),
            requires_python=headers["Requires-Python"],
            summary=headers["Summary"] or "",
            yanked=yanked.read_text().strip() if yanked.is_file() else None,
        ),
        metadata,
    )


def _refused(path: Path, reason: str) -> IntegrityError:
    return IntegrityError(
        f"{path} cannot go into the index: {reason}",
        hint="build it again, or remove it; the index is as it was.",
    )
