"""A package registry of one's own: wheels and sdists in a folder, served as PEP 691 has it."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name, parse_sdist_filename, parse_wheel_filename

from support.servers import FolderServer

LONG_AGO = "2020-01-01T00:00:00Z"


@dataclass(frozen=True)
class LocalRegistry:
    """Its simple index is at ``url``; what ``add`` was given is offered, as if uploaded long ago."""

    server: FolderServer

    @property
    def url(self) -> str:
        """The address that clients are told."""
        return f"{self.server.url}/simple"

    def add(
        self,
        file: Path,
        *,
        told: str | None = None,
        uploaded: str = LONG_AGO,
        requires_python: str | None = None,
    ) -> str:
        """Offer a file, and return the SHA-256 that is told of it: the true one unless ``told`` is another."""
        is_wheel = file.suffix == ".whl"
        name = canonicalize_name(
            parse_wheel_filename(file.name)[0] if is_wheel else parse_sdist_filename(file.name)[0]
        )
        folder = self.server.folder / "simple" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file.name).write_bytes(file.read_bytes())
        if is_wheel:  # its metadata alone, too (PEP 658), or resolvers ask for parts of the file
            (folder / f"{file.name}.metadata").write_bytes(_metadata(file))
        digest = told or hashlib.sha256(file.read_bytes()).hexdigest()
        entry = {
            "filename": file.name,
            "url": file.name,
            "hashes": {"sha256": digest},
            "size": file.stat().st_size,
            "upload-time": uploaded,
            "core-metadata": is_wheel,
        }
        if requires_python:
            entry["requires-python"] = requires_python
        self._append(folder / "index.json", name, entry)
        return digest

    def _append(self, page: Path, name: str, entry: dict[str, Any]) -> None:
        said = json.loads(page.read_text()) if page.is_file() else {"versions": [], "files": []}
        files = [*said["files"], entry]
        page.write_text(
            json.dumps({"meta": {"api-version": "1.1"}, "name": name, "versions": [], "files": files})
        )


def _metadata(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        names = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        (own,) = (name for name in names if name.count("/") == 1)  # others are of what is vendored
        return archive.read(own)


@contextmanager
def local_registry(folder: Path) -> Iterator[LocalRegistry]:
    """Run an empty registry on 127.0.0.1 while the block lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    with FolderServer(folder) as server:
        yield LocalRegistry(server)
