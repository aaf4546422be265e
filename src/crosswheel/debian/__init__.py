"""Debian's packages, of any architecture, unpacked into a folder: no root, nothing installed, on any distribution.

They come from the main suite alone (:mod:`crosswheel.debian.mirrors`): the index of the security suite for foreign
architectures is at times out of step with its signature. Every signature and hash is checked
(:mod:`crosswheel.debian.suites`).
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

from crosswheel.cached import CachedFolder, cached_path
from crosswheel.debian.deb822 import Index, Stanza, unpack_deb
from crosswheel.debian.mirrors import NO_MIRROR_HINT, SUITE, Sources, sources_of
from crosswheel.debian.suites import Transport
from crosswheel.errors import CrosswheelError, IntegrityError, Interrupted, MissingToolError, NetworkError
from crosswheel.files import digest_of
from crosswheel.process import Runner
from crosswheel.settings import Settings

_HOUR = 3600
_LISTS = ("archives.json",)  # in a folder of lists: which file is the index of which archive
_Fetched = TypeVar("_Fetched")


@dataclass(frozen=True)
class BinaryPackage:
    """A binary package of Debian as a file: what it is, the source package that it is built from, and its SHA-256."""

    name: str
    version: str
    source: str
    source_version: str
    sha256: str


@dataclass(frozen=True)
class Debian:
    """A way to the packages of one architecture, such as ``armhf``, in a suite of Debian.

    ``clock`` gives seconds since the epoch.
    """

    architecture: str
    settings: Settings
    runner: Runner
    clock: Callable[[], float] = time.time
    suite: str = SUITE

    @cached_property
    def sources(self) -> Sources:
        """Where its packages come from."""
        return sources_of(self.architecture, self.settings, self.runner, self.suite)

    @property
    def is_usable(self) -> bool:
        """Whether an archive of Debian is known."""
        return self.sources.title is not None

    def unpack(self, packages: Sequence[str], folder: Path, only: Collection[str] = ()) -> Mapping[str, str]:
        """Download packages (``name`` or ``name=version``) and unpack them into ``folder``.

        Args:
            only: the paths of the files to unpack, as in :func:`~crosswheel.debian.deb822.unpack_deb`.

        Returns:
            Each package's name and version.

        Raises:
            MissingToolError: no archive of Debian is known.
            NetworkError: a package could not be fetched.
        """
        return {package.name: package.version for package in self.unpack_packages(packages, folder, only)}

    def unpack_packages(
        self, packages: Sequence[str], folder: Path, only: Collection[str] = ()
    ) -> list[BinaryPackage]:
        """Do what :meth:`unpack` does, and return all that is known of each package."""
        folder.mkdir(parents=True, exist_ok=True)
        subject = f"packages {', '.join(f'{name}:{self.architecture}' for name in packages)}"
        with tempfile.TemporaryDirectory(prefix=".packages", dir=folder) as downloads:
            entries = self._fetched(subject, "deb", partial(self._fetch, packages, Path(downloads)))
            for archive in entries:
                unpack_deb(archive, folder, only)
        return [_described(entry) for entry in entries.values()]

    def _fetch(self, packages: Sequence[str], folder: Path, index: Index) -> Mapping[Path, Stanza]:
        """Download packages; return what is known of each file."""
        entries = [self._entry(package, index) for package in packages]
        files = {folder / entry.address.rpartition("/")[2]: entry for entry in entries}
        for path, entry in files.items():
            path.unlink(missing_ok=True)  # of older lists, maybe
            self._transport.fetch(entry.address, path, entry.fields["SHA256"])
        return files

    def _entry(self, package: str, index: Index) -> Stanza:
        name, _, version = package.partition("=")
        for entry in index.entries(name):
            if version in ("", entry.version):
                return entry
        raise NetworkError(
            f"there is no {package} for {self.architecture}", hint="name another version or package."
        )

    def source(self, package: str, folder: Path) -> Path:
        """Download the original sources of a package (``name`` or ``name=version``) into ``folder``.

        Returns:
            The archive, as its authors made it.

        Raises:
            MissingToolError, NetworkError: as for :meth:`unpack`.
        """
        folder.mkdir(parents=True, exist_ok=True)
        return self._fetched(f"sources of {package}", "deb-src", partial(self._fetch_source, package, folder))

    def _fetch_source(self, package: str, folder: Path, index: Index) -> Path:
        source, _, version = package.partition("=")
        for entry in index.entries(source):
            files = entry.files if version in ("", entry.version) else {}
            for address, sha256 in files.items():
                name = address.rpartition("/")[2]
                if ".orig.tar." in name and not name.endswith(".asc"):
                    (folder / name).unlink(missing_ok=True)
                    return self._transport.fetch(address, folder / name, sha256)
        raise NetworkError(f"there are no original sources of {package}", hint="name another source package.")

    def versions(self, package: str) -> list[str]:
        """Return the versions of a package that can be had, the newest first."""
        return [entry.version for entry in self._index("deb").entries(package)]

    def shared_libraries(self, packages: Sequence[str]) -> list[str]:
        """Return the packages of shared libraries (``name``) that packages need, also through one another.

        Packages are given as for :meth:`unpack`. The C library is not among them: it is the machine's, with the
        loader that belongs to it.
        """
        index = self._index("deb")
        libraries: dict[str, Stanza] = {}
        todo = [self._entry(package, index) for package in packages]
        while todo:
            named = {name: None for entry in todo for name in entry.dependencies if _is_library(name)}
            todo = [entry for name in named if name not in libraries for entry in index.entries(name)[:1]]
            libraries.update((entry.fields["Package"], entry) for entry in todo)
        return list(libraries)

    def dependencies(self, package: str) -> list[str]:
        """Return the packages that a package names as needed; of alternatives, the first."""
        return self._entry(package, self._index("deb")).dependencies

    @property
    def _transport(self) -> Transport:
        return Transport(self.settings, self.runner)

    def _fetched(self, subject: str, kind: str, fetch: Callable[[Index], _Fetched]) -> _Fetched:
        """Return what ``fetch`` returns for the lists of a kind: ``deb`` or ``deb-src``; again for newer ones."""
        lists = self._lists(kind)
        try:
            return fetch(_index_of(lists))
        except (IntegrityError, NetworkError) as error:
            # The archive keeps no package for long that a newer one has replaced, and lists name what was there once.
            if self._newer_lists(kind, lists) != lists:
                return self._fetched(subject, kind, fetch)
            raise NetworkError(
                f"Debian's {subject} could not be fetched:\n{error}",
                hint="check the network, and the mirror of Debian; CROSSWHEEL_DEBIAN_URL names another.",
            ) from error

    def _index(self, kind: str) -> Index:
        return _index_of(self._lists(kind))

    def _states(self, kind: str) -> Path:
        # Named by the sources: lists of others tell of packages that these may not have.
        digest = digest_of(sources=asdict(self.sources), kind=kind)
        return cached_path(self.settings.cache, "debian", f"{self.architecture}-{digest}")

    def _lists(self, kind: str) -> Path:
        """Return the newest folder of lists of packages; they are fetched if there is none."""
        if not self.is_usable:
            raise MissingToolError(
                "a part of the toolchain is taken from Debian's packages, and no mirror of Debian is known here",
                hint=NO_MIRROR_HINT,
            )
        return max(self._all_lists(kind), key=_hour_of, default=None) or self._lists_of_this_hour(kind)

    def _newer_lists(self, kind: str, current: Path) -> Path:
        """Return the newest lists, fetched anew if there are none but those that were used, and they are old."""
        newest = self._lists(kind)
        if newest == current and not self.settings.offline:
            newest = self._lists_of_this_hour(kind)
        if newest != current:
            for folder in self._all_lists(kind):
                if _hour_of(folder) < _hour_of(current):  # other processes may use the same as this one did
                    shutil.rmtree(folder, ignore_errors=True)
        return newest

    def _all_lists(self, kind: str) -> list[Path]:
        return [
            folder for folder in self._states(kind).glob("[0-9]*") if CachedFolder(folder, _LISTS).is_whole
        ]

    def _lists_of_this_hour(self, kind: str) -> Path:
        """Fetch lists, if none were in this hour: into a folder of their own, for no two processes may share one."""
        folder = self._states(kind) / str(int(self.clock() // _HOUR))
        return CachedFolder(folder, _LISTS).make(partial(self._fetch_lists, kind))

    def _fetch_lists(self, kind: str, folder: Path) -> None:
        if self.settings.offline:
            raise NetworkError(
                f"the list of Debian's {self.architecture} packages is not in the cache",
                hint="run once without CROSSWHEEL_OFFLINE.",
            )
        name = f"binary-{self.architecture}/Packages" if kind == "deb" else "source/Sources"
        refusals = []
        for offer in self.sources.offers(kind, self.settings, self.runner):
            try:
                archives = {}
                for number, suite in enumerate(offer.suites()):
                    suite.index(name, folder / f"{number}.list", self._transport)
                    archives[f"{number}.list"] = suite.address
                (folder / "archives.json").write_text(json.dumps(archives))
                return
            except Interrupted:
                raise
            except CrosswheelError as error:
                refusals.append(f"{offer.title}: {error}")
        raise NetworkError(
            f"the list of Debian's {self.architecture} packages could not be fetched:\n"
            + "\n".join(refusals),
            hint="check the network and the proxy (apt's own settings hold, where there is apt); CROSSWHEEL_DEBIAN_URL "
            "names another mirror of Debian.",
        )


def _index_of(lists: Path) -> Index:
    archives = json.loads((lists / "archives.json").read_text())
    return Index({lists / name: address for name, address in archives.items()})


def _described(entry: Stanza) -> BinaryPackage:
    """Return what an index tells; it names the source where that is called otherwise (deb-control(5))."""
    name, version = entry.fields["Package"], entry.version
    source, _, source_version = entry.fields.get("Source", name).partition(" ")
    return BinaryPackage(name, version, source, source_version.strip("()") or version, entry.fields["SHA256"])


def _hour_of(lists: Path) -> int:
    return int(lists.name)


def host_architecture() -> str:
    """Return Debian's name for the machine that builds."""
    machine = os.uname().machine
    return {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "armhf"}.get(machine, machine)


def _is_library(package: str) -> bool:
    named = package.startswith("lib") or package == "zlib1g"
    return named and package != "libc6" and not package.endswith(("-dev", "-cross"))
