"""A package registry of one's own: a folder of wheels and sdists, served as PEP 503 has it."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from packaging.utils import canonicalize_name, parse_sdist_filename, parse_wheel_filename

from support.servers import FolderServer


@dataclass(frozen=True)
class LocalRegistry:
    """Its simple index is at ``url``; what ``add`` was given is offered.

    ``hashes`` are those that the pages tell, where they differ from the truth, by file name.
    """

    server: FolderServer
    hashes: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The address that clients are told."""
        return f"{self.server.url}/simple"

    def add(self, file: Path) -> str:
        """Offer a file, and return the SHA-256 that is told of it."""
        parsed = (
            parse_wheel_filename(file.name)[0]
            if file.suffix == ".whl"
            else parse_sdist_filename(file.name)[0]
        )
        page = self.server.folder / "simple" / canonicalize_name(parsed) / "index.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        (page.parent / file.name).write_bytes(file.read_bytes())
        told = self.hashes.get(file.name) or hashlib.sha256(file.read_bytes()).hexdigest()
        attributes = ""
        if file.suffix == ".whl":  # its metadata alone, too (PEP 658), or resolvers ask for parts of the file
            (page.parent / f"{file.name}.metadata").write_bytes(_metadata(file))
            attributes = ' data-core-metadata="true"'
        said = page.read_text() if page.is_file() else "<!DOCTYPE html>\n"
        page.write_text(f'{said}<a href="{file.name}#sha256={told}"{attributes}>{file.name}</a><br>\n')
        return told


def _metadata(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return archive.read(name)


@contextmanager
def local_registry(folder: Path) -> Iterator[LocalRegistry]:
    """Run an empty registry on 127.0.0.1 while the block lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    with FolderServer(folder) as server:
        yield LocalRegistry(server)
