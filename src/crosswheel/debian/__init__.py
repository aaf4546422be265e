"""Debian's packages, of any architecture, unpacked into a folder: no root, nothing installed.

A private apt state reads sources of its own (:mod:`crosswheel.debian.apt_sources`), and of those only the main suite:
the index of the security suite for foreign architectures is at times out of step with its signature. apt checks every
signature and hash.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from crosswheel.debian.apt_sources import SUITE, Offer, Sources, as_options, sources_of, state_options
from crosswheel.errors import BuildFailed, CrosswheelError, Interrupted, MissingToolError, NetworkError
from crosswheel.files import cached_folder, digest_of, is_whole, sha256_of, write_text
from crosswheel.process import Runner
from crosswheel.settings import Settings, cache_path

NO_APT_HINT = (
    "install apt, dpkg and debootstrap, which other distributions have packages of, too (nothing is installed with "
    "them, but what is needed unpacked in the cache); or run in a container of Debian or Ubuntu."
)
_HOUR = 3600
_LISTS = ("sources.list", "lists/*_Packages*", "cache/archives")  # of a state of apt, what it works with
_DEPENDS = re.compile(r"^ [ |](?:Pre)?Depends: ([a-z0-9][^\s<:]*)$", re.MULTILINE)


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

    @property
    def is_usable(self) -> bool:
        """Whether apt and dpkg are on this machine."""
        return bool(shutil.which("apt-get") and shutil.which("dpkg-deb"))

    def unpack(self, packages: Sequence[str], folder: Path) -> Mapping[str, str]:
        """Download packages (``name`` or ``name=version``) and unpack them into ``folder``.

        Returns:
            Each package's name and version.

        Raises:
            MissingToolError: this is not a Debian or Ubuntu machine, or has no usable source.
            NetworkError: a package could not be fetched.
        """
        return {package.name: package.version for package in self.unpack_packages(packages, folder)}

    def unpack_packages(self, packages: Sequence[str], folder: Path) -> list[BinaryPackage]:
        """Do what :meth:`unpack` does, and return all that is known of each package."""
        downloads = folder / ".packages"
        downloads.mkdir(parents=True, exist_ok=True)
        qualified = [_qualified(name, self.architecture) for name in packages]
        self._download(["download", *qualified], f"packages {', '.join(qualified)}", downloads)
        unpacked = []
        for archive in sorted(downloads.glob("*.deb")):
            self.runner.run(["dpkg-deb", "-x", archive, folder])
            unpacked.append(self._described(archive))
        shutil.rmtree(downloads)
        return unpacked

    def _described(self, archive: Path) -> BinaryPackage:
        """Return what a package file tells; it names its source where that is called otherwise (deb-control(5))."""
        fields = self.runner.run(["dpkg-deb", "-f", archive, "Package", "Version", "Source"]).lines
        stated = {name: value for name, _, value in (line.partition(": ") for line in fields)}
        name, version = stated["Package"], stated["Version"]
        source, _, source_version = stated.get("Source", name).partition(" ")
        return BinaryPackage(name, version, source, source_version.strip("()") or version, sha256_of(archive))

    def source(self, package: str, folder: Path) -> Path:
        """Download the original sources of a package into ``folder``; return the archive, as its authors made it.

        Raises:
            MissingToolError, NetworkError: as for :meth:`unpack`.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._download(["source", "--download-only", package], f"sources of {package}", folder)
        archives = sorted(path for path in folder.glob("*.orig.tar.*") if path.suffix != ".asc")
        if not archives:
            raise NetworkError(
                f"Debian has no original sources of {package}", hint="name another source package."
            )
        return archives[0]

    def versions(self, package: str) -> list[str]:
        """Return the versions of a package that can be had, in apt's order: the preferred first."""
        listing = self._apt_cache("madison", _qualified(package, self.architecture))
        rows = [line.split("|") for line in listing.splitlines() if line.count("|") >= 2]
        return [row[1].strip() for row in rows if not row[2].strip().endswith("Sources")]

    def shared_libraries(self, packages: Sequence[str]) -> list[str]:
        """Return the packages of shared libraries (``name``) that packages need, also through one another.

        Packages are given as for :meth:`unpack`. The C library is not among them: it is the machine's, with the
        loader that belongs to it.
        """
        by_name: dict[str, None] = {}
        todo = list(packages)
        while todo:
            todo = [name for name in self.dependencies(todo) if _is_library(name) and name not in by_name]
            by_name.update(dict.fromkeys(todo))
        return list(by_name)

    def dependencies(self, packages: Sequence[str]) -> list[str]:
        """Return the packages that packages name as needed, first choices of alternatives included."""
        qualified = [_qualified(name, self.architecture) for name in packages]
        return list(dict.fromkeys(_DEPENDS.findall(self._apt_cache("depends", "--important", *qualified))))

    def _download(self, words: Sequence[str], subject: str, folder: Path) -> None:
        lists = self._lists()
        try:
            self._apt(lists, *words, cwd=folder)
        except BuildFailed as error:
            # The archive keeps no package for long that a newer one has replaced, and lists name what was there once.
            if self._newer_lists(lists) != lists:
                for fetched in folder.iterdir():
                    fetched.unlink()  # of the old lists, maybe
                self._download(words, subject, folder)
                return
            raise NetworkError(
                f"Debian's {subject} could not be fetched:\n{error}",
                hint="check the network and the apt sources; CROSSWHEEL_DEBIAN_SOURCES names another file of them.",
            ) from error

    @cached_property
    def sources(self) -> Sources:
        """Where its packages come from."""
        return sources_of(self.architecture, self.settings, self.runner, self.suite)

    @cached_property
    def _states(self) -> Path:
        # Named by the sources: lists of others tell of packages that these may not have.
        return (
            cache_path(self.settings.cache, "debian")
            / f"{self.architecture}-{digest_of(sources=asdict(self.sources))}"
        )

    def _lists(self) -> Path:
        """Return the newest state of apt that has the lists of packages; they are fetched if there is none."""
        if not self.is_usable:
            raise MissingToolError(
                "this machine has no apt, and a part of the toolchain is taken from Debian's packages",
                hint=NO_APT_HINT,
            )
        return max(self._all_lists(), key=_hour_of, default=None) or self._lists_of_this_hour()

    def _newer_lists(self, current: Path) -> Path:
        """Return the newest lists, fetched anew if there are none but those that were used, and they are old."""
        newest = self._lists()
        if newest == current and not self.settings.offline:
            newest = self._lists_of_this_hour()
        if newest != current:
            for folder in self._all_lists():
                if _hour_of(folder) < _hour_of(current):  # other processes may use the same as this one did
                    shutil.rmtree(folder, ignore_errors=True)
        return newest

    def _all_lists(self) -> list[Path]:
        return [folder for folder in self._states.glob("[0-9]*") if is_whole(folder, _LISTS)]

    def _lists_of_this_hour(self) -> Path:
        """Fetch lists, if none were in this hour: into a folder of their own, for no two processes may share one."""
        return cached_folder(self._states / str(int(self.clock() // _HOUR)), _LISTS, self._fetch_lists)

    def _fetch_lists(self, folder: Path) -> None:
        if self.settings.offline:
            raise NetworkError(
                f"the list of Debian's {self.architecture} packages is not in the cache",
                hint="run once without CROSSWHEEL_OFFLINE.",
            )
        refusals = []
        for offer in self.sources.offers(self.settings, self.runner):
            shutil.rmtree(folder / "lists", ignore_errors=True)  # of another offer
            try:
                self._fetch_from(offer, folder)
                return
            except Interrupted:
                raise
            except CrosswheelError as error:
                refusals.append(f"{offer.title}: {error}")
        raise NetworkError(
            f"the list of Debian's {self.architecture} packages could not be fetched:\n"
            + "\n".join(refusals),
            hint="check the network and the proxy (apt's own settings hold); CROSSWHEEL_DEBIAN_SOURCES names a file of "
            f"apt sources, `deb` and `deb-src` lines of Debian's {SUITE}, to be used instead.",
        )

    def _fetch_from(self, offer: Offer, folder: Path) -> None:
        write_text(folder / "sources.list", offer.lines())
        self._apt(folder, "update", "--error-on=any")
        libc = _qualified("libc6", self.architecture)
        if not offer.is_stated and not self._query(folder, "madison", libc):
            raise NetworkError(f"it has no {libc}", hint="it is no mirror of Debian.")

    def _options(self, state: Path) -> list[str]:
        options = {
            "Dir::Etc::sourcelist": state / "sources.list",
            "Dir::Etc::sourceparts": "-",
            "APT::Architecture": self.architecture,
            "APT::Architectures::": self.architecture,
        }
        return [*state_options(state), *as_options(options)]

    def _apt(self, state: Path, *words: str, cwd: Path | None = None) -> str:
        return self.runner.run(["apt-get", "-q", *self._options(state), *words], cwd=cwd, timeout=900).output

    def _apt_cache(self, *words: str) -> str:
        return self._query(self._lists(), *words)

    def _query(self, state: Path, *words: str) -> str:
        return self.runner.run(["apt-cache", *self._options(state), *words]).output


def _hour_of(lists: Path) -> int:
    return int(lists.name)


def host_architecture() -> str:
    """Return Debian's name for the machine that builds."""
    machine = os.uname().machine
    return {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "armhf"}.get(machine, machine)


def _is_library(package: str) -> bool:
    named = package.startswith("lib") or package == "zlib1g"
    return named and package != "libc6" and not package.endswith(("-dev", "-cross"))


def _qualified(package: str, architecture: str) -> str:
    name, equals, version = package.partition("=")
    return f"{name}:{architecture}{equals}{version}"
