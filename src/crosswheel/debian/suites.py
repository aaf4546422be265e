"""A suite of a Debian archive: what its signed release file names, fetched and verified.

The release file is signed by the archive's key and names the SHA-256 of each index; an index names the SHA-256 of each
package. So it does not matter who transports them, nor that most mirrors are reached without TLS. Where the machine has
apt, its downloader fetches, and with it the user's settings of proxies and passwords hold; elsewhere, we do.
"""

from __future__ import annotations

import gzip
import lzma
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pysequoia

from crosswheel.download import download
from crosswheel.errors import BuildFailed, IntegrityError, NetworkError
from crosswheel.files import sha256_of
from crosswheel.process import Runner
from crosswheel.settings import Settings

APT_HELPER = Path("/usr/lib/apt/apt-helper")
_SUM = re.compile(r"^ ([0-9a-f]{64}) +\d+ (\S+)$", re.MULTILINE)
_MIRROR_HINT = "a mirror that is being updated is whole again within the hour; otherwise name another one."


@dataclass(frozen=True)
class Transport:
    """How files of an archive are fetched."""

    settings: Settings
    runner: Runner

    def fetch(self, address: str, path: Path, sha256: str | None = None) -> Path:
        """Fetch a file to ``path``, which is not there yet; return it.

        Raises:
            NetworkError: it is not available.
            IntegrityError: it has another hash.
        """
        parts = urlsplit(address)
        if parts.scheme == "file":
            try:
                shutil.copyfile(unquote(parts.path), path)
            except OSError as error:
                raise NetworkError(f"{address}: {error.strerror}", hint=_MIRROR_HINT) from error
        elif APT_HELPER.exists() and shutil.which("apt-get"):
            self._fetch_by_apt(address, path)
        else:
            return download(address, path, sha256=sha256, settings=self.settings)
        if sha256 is not None and sha256_of(path) != sha256:
            raise IntegrityError(
                f"{path.name} of {parts.hostname or parts.path} is not what the archive's index says: expected sha256 "
                f"{sha256}, received {sha256_of(path)}",
                hint=_MIRROR_HINT,
            )
        return path

    def _fetch_by_apt(self, address: str, path: Path) -> None:
        # As root, apt would fetch as its own user, who could not write into our folder.
        options = ["-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=1"]
        try:
            self.runner.run([APT_HELPER, "-q", *options, "download-file", address, path], timeout=900)
        except BuildFailed as error:
            raise NetworkError(str(error), hint=_MIRROR_HINT) from error


@dataclass(frozen=True)
class Suite:
    """A suite of an archive, such as Debian's ``bookworm``.

    Attributes:
        address: of the archive: what ``dists/`` and ``pool/`` lie below.
        name: of the suite.
        components: the parts of it that are used.
        keys: the OpenPGP certificates, one of which has to have signed its release file; ``None`` if the user trusts it
            without a signature.
    """

    address: str
    name: str
    components: tuple[str, ...]
    keys: tuple[bytes, ...] | None

    def index(self, name: str, path: Path, transport: Transport) -> None:
        """Write the index ``binary-<architecture>/Packages`` or ``source/Sources`` of all components to ``path``.

        Raises:
            NetworkError: it is not available.
            IntegrityError: it, or the release file, is not what the archive signed.
        """
        with tempfile.TemporaryDirectory(dir=path.parent) as folder, path.open("wb") as stream:
            release = self._release(Path(folder), transport)
            for component in self.components:
                for block in _blocks(self._part(release, f"{component}/{name}", Path(folder), transport)):
                    stream.write(block)
                stream.write(b"\n")

    def _part(self, release: SuiteIndex, name: str, folder: Path, transport: Transport) -> Path:
        for suffix in (".xz", ".gz", ""):
            sha256 = release.sums.get(name + suffix)
            if sha256 is not None:
                parent, _, file = f"{name}{suffix}".rpartition("/")
                # By its hash it is there also while the mirror gets a new one.
                named = f"{parent}/by-hash/SHA256/{sha256}" if release.is_by_hash else f"{parent}/{file}"
                path = folder / f"{sha256}{suffix}"
                return transport.fetch(f"{self.address}dists/{self.name}/{named}", path, sha256)
        raise NetworkError(
            f"{self.address} has no {name} of {self.name}", hint="name another mirror of Debian."
        )

    def _release(self, folder: Path, transport: Transport) -> SuiteIndex:
        name = "Release" if self.keys is None else "InRelease"
        path = transport.fetch(f"{self.address}dists/{self.name}/{name}", folder / name)
        text = path.read_bytes() if self.keys is None else self._verified(path.read_bytes())
        release = SuiteIndex(text.decode(errors="replace"))
        # The same keys sign all suites: one must not pass for another.
        if self.name not in (release.fields.get("Codename"), release.fields.get("Suite")):
            raise IntegrityError(
                f"{self.address} has for {self.name} the release file of {release.fields.get('Codename')}",
                hint="name another mirror of Debian.",
            )
        return release

    def _verified(self, signed: bytes) -> bytes:
        certificates = [one for key in self.keys or () for one in pysequoia.Cert.split_bytes(key)]
        try:
            return bytes(pysequoia.verify(bytes=signed, store=lambda key_ids: certificates).bytes or b"")
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise IntegrityError(
                f"the release file of {self.name} at {self.address} is not signed by Debian's archive: {reason}",
                hint="name another mirror of Debian; or, for an archive of your own, its key with [signed-by=FILE] in "
                "the file that CROSSWHEEL_DEBIAN_SOURCES names.",
            ) from error


@dataclass(frozen=True)
class SuiteIndex:
    """The content of a release file."""

    text: str

    @property
    def fields(self) -> Mapping[str, str]:
        """The fields of one line."""
        return dict(re.findall(r"^(\S+): *(.+)$", self.text, re.MULTILINE))

    @property
    def sums(self) -> Mapping[str, str]:
        """The SHA-256 of each file, by its path below the suite."""
        return {path: sha256 for sha256, path in _SUM.findall(self.text)}

    @property
    def is_by_hash(self) -> bool:
        """Whether files can be fetched by their hash."""
        return self.fields.get("Acquire-By-Hash") == "yes"


def _blocks(path: Path) -> Iterator[bytes]:
    with _opened(path) as stream:
        while block := stream.read(1 << 20):
            yield block


def _opened(path: Path) -> lzma.LZMAFile | gzip.GzipFile | BufferedReader:
    if path.suffix == ".xz":
        return lzma.LZMAFile(path)
    return gzip.GzipFile(path) if path.suffix == ".gz" else path.open("rb")
