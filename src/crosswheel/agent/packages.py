"""Installed packages, each in a folder that is named by its content."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from crosswheel.agent.disk import make_folders, remove_tree, sha256_of, sync, write_shared
from crosswheel.agent.manifest import Refused, digest_of_package

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from crosswheel.agent.manifest import BytesOf, Entry, Key, Manifest

_UNFINISHED = ".unfinished-"


class Packages:
    """The packages that are here, for all environments; nothing in one ever changes."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def lacking(self, release: Manifest) -> list[Manifest]:
        """Return a release's packages that are not here."""
        return [p for p in release["packages"] if not (self.root / p["digest"]).is_dir()]

    def folder(self, digest: str) -> str:
        """Return the folder of a package's files."""
        return f"{self.root}/{digest}/files"

    def files(self, digest: str) -> list[Entry]:
        """Return the list of a package's files."""
        found: list[Entry] = json.loads((self.root / digest / "package.json").read_bytes())
        return found

    def faults(self, package: Manifest) -> Iterator[str]:
        """Compare every file of a package with its hash; tell what is wrong."""
        folder = self.folder(package["digest"])
        for path, sha256, _, executable in self.files(package["digest"]):
            try:
                found = sha256_of(f"{folder}/{path}")
            except OSError as error:
                yield f"{path}: {error.strerror}"
                continue
            if found != sha256:
                yield f"{path}: its bytes have changed"
            elif os.access(f"{folder}/{path}", os.X_OK) is not executable:
                yield f"{path}: its permissions have changed"

    def sweep(self, used: set[str]) -> None:
        """Remove the packages that no release uses, and what is left of transfers."""
        for folder in self.root.glob("*"):
            if folder.name not in used:
                remove_tree(folder, ignore_errors=True)

    def unfinished(self, digest: str) -> Path:
        """Return where a package is put together."""
        return self.root / f"{_UNFINISHED}{digest}"


class Arrival:
    """Packages that are about to come: what of them is here already, and what has to be sent.

    Args:
        packages: what a release says of each.
        lists: the list of files of each, by digest.
        donors: digests of packages that may have some of the files.

    Raises:
        Refused: a list is not the one that the release promises.
    """

    def __init__(
        self,
        store: Packages,
        packages: list[Manifest],
        lists: dict[str, list[Entry]],
        donors: Iterable[str],
    ) -> None:
        self._store = store
        self._packages = packages
        self._lists = lists
        for package in packages:
            files = lists.get(package["digest"], [])
            if digest_of_package(package["name"], package["version"], files) != package["digest"]:
                raise Refused("damaged", f"the list of files of {package['name']} is not what was promised")
        self._known: dict[Key, str] = {
            (sha256, executable): f"{store.folder(donor)}/{path}"
            for donor in donors
            for path, sha256, _, executable in store.files(donor)
        }
        self.lacking = {p["digest"]: self._lacking(p["digest"]) for p in packages}

    @property
    def need(self) -> int:
        """How many bytes of the file system it will take."""
        disk = next(path for path in (self._store.root, *self._store.root.parents) if path.is_dir())
        block = os.statvfs(disk).f_frsize
        sizes = [self._lists[d][number][2] for d, numbers in self.lacking.items() for number in numbers]
        folders = sum(len({path.rpartition("/")[0] for path, *_ in files}) for files in self._lists.values())
        return sum(-(-size // block) * block for size in sizes) + 2 * block * folders

    def receive(self, bytes_of: BytesOf) -> None:
        """Take what was lacking, in its order, given by hash and size; then the packages are here.

        Raises:
            Refused: bytes are not the promised ones. What came before stays, and is not lacking next time.
        """
        for package in self._packages:
            self._write(package["digest"], bytes_of)
        if self._packages:
            sync(self._store.root)  # before they have their names
        for package in self._packages:
            self._store.unfinished(package["digest"]).rename(self._store.root / package["digest"])

    def _lacking(self, digest: str) -> list[int]:
        """Return the numbers of the files that are neither in a known package nor came before."""
        folder = f"{self._store.unfinished(digest)}/files"
        begun = os.path.isdir(folder)
        return [
            number
            for number, (path, sha256, size, executable) in enumerate(self._lists[digest])
            if (sha256, executable) not in self._known
            and not (begun and _is_whole(f"{folder}/{path}", sha256, size, executable))
        ]

    def _write(self, digest: str, bytes_of: BytesOf) -> None:
        files, folder = self._lists[digest], f"{self._store.unfinished(digest)}/files"
        begun, lacking = os.path.isdir(folder), set(self.lacking[digest])
        make_folders(folder, (path.rpartition("/")[0] for path, *_ in files))
        for number, (path, sha256, size, executable) in enumerate(files):
            place, known = f"{folder}/{path}", self._known.get((sha256, executable))
            if begun and (known or number in lacking) and os.path.lexists(place):
                os.unlink(place)  # it was cut off
            if known:
                os.link(known, place)
            elif number in lacking:
                write_shared(place, sha256, executable, bytes_of(sha256, size))
        text = json.dumps(files, separators=(",", ":"))
        (self._store.unfinished(digest) / "package.json").write_text(text)


def _is_whole(path: str, sha256: str, size: int, executable: bool) -> bool:
    """Tell whether a file of a transfer that was interrupted came as a whole; only its bytes can tell."""
    try:
        status = os.stat(path)
        return (
            status.st_size == size
            and bool(status.st_mode & 0o100) is executable
            and sha256_of(path) == sha256
        )
    except FileNotFoundError:
        return False
