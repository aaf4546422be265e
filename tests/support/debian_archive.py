"""A Debian archive of one's own: real packages, in the layout of Debian's, signed by a key of its own."""

from __future__ import annotations

import hashlib
import lzma
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pysequoia

_ARCHITECTURES = ("amd64", "arm64", "armhf")
_RELEASE = (
    "Origin: Demo\nSuite: demo\nCodename: bookworm\nDate: Sat, 09 Sep 2023 10:00:00 UTC\nComponents: main\n"
)


@dataclass(frozen=True)
class DebianArchive:
    """An archive in ``folder``; ``sources`` is the file that leads to it, without a signature."""

    folder: Path
    codename: str = "bookworm"

    @property
    def sources(self) -> Path:
        """The sources file to name in ``CROSSWHEEL_DEBIAN_SOURCES``."""
        file = self.folder / "sources.list"
        file.write_text(
            "".join(
                f"{kind} [trusted=yes] file:{self.folder} {self.codename} main\n"
                for kind in ("deb", "deb-src")
            )
        )
        self.publish()
        return file

    @property
    def key(self) -> Path:
        """The public key that signs its release file."""
        return self.folder / "key.asc"

    @property
    def suite(self) -> Path:
        """The folder of the suite."""
        return self.folder / "dists" / self.codename

    def add(
        self, name: str, version: str, architecture: str, files: Mapping[str, str], *, depends: str = ""
    ) -> None:
        """Put a package into the archive; ``files`` are by their path below the root."""
        tree = self.folder / "trees" / f"{name}-{version}-{architecture}"
        for path, text in files.items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_text(text)
            (tree / path).chmod(0o755 if "bin" in Path(path).parts else 0o644)
        control = (
            f"Package: {name}\nVersion: {version}\nArchitecture: {architecture}\n"
            "Maintainer: Nobody <nobody@example.org>\nDescription: a package\n"
        ) + (f"Depends: {depends}\n" if depends else "")
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN" / "control").write_text(control)
        deb = self.folder / f"{name}_{version}_{architecture}.deb"
        subprocess.run(["dpkg-deb", "--build", "-Znone", tree, deb], check=True, capture_output=True)
        entry = f"{control}Filename: {deb.name}\nSize: {deb.stat().st_size}\nSHA256: {_sha256(deb)}\n\n"
        for each in _ARCHITECTURES if architecture == "all" else (architecture,):
            self._append(f"binary-{each}/Packages", entry)
        self.publish()

    def add_source(self, name: str, version: str, archive: Path) -> None:
        """Put a source package into the archive, whose original sources are those of a tar archive."""
        original = self.folder / f"{name}_{version}.orig.tar.gz"
        original.write_bytes(archive.read_bytes())
        sums = f" {_sha256(original)} {original.stat().st_size} {original.name}\n"
        fields = f"Package: {name}\nFormat: 3.0 (quilt)\nVersion: {version}-1\nDirectory: .\n"
        self._append("source/Sources", f"{fields}Checksums-Sha256:\n{sums}\n")
        self.publish()

    def remove_all(self) -> None:
        """Take all packages out of the archive."""
        for path in (*self.suite.glob("main/*/*"), *self.folder.glob("*.deb")):
            path.unlink()

    def publish(self, **fields: str) -> None:
        """Write the release file of what is there, and sign it; ``fields`` replace its own."""
        for name in (*(f"binary-{each}/Packages" for each in _ARCHITECTURES), "source/Sources"):
            self._append(name, "")
            plain = self.suite / "main" / name
            plain.with_name(f"{plain.name}.xz").write_bytes(lzma.compress(plain.read_bytes(), preset=0))
        paths = sorted(path for path in self.suite.glob("main/*/*") if path.is_file())
        sums = (f" {_sha256(path)} {path.stat().st_size} {path.relative_to(self.suite)}\n" for path in paths)
        text = _RELEASE + f"SHA256:\n{''.join(sums)}"
        for name, value in {"Codename": self.codename, **fields}.items():
            text = "".join(
                f"{name}: {value}\n" if line.startswith(f"{name}:") else line
                for line in text.splitlines(True)
            )
        (self.suite / "Release").write_text(text)
        key = pysequoia.Tsk.generate("Demo <demo@example.org>")
        signed = pysequoia.sign(key.signer(), text.encode(), mode=pysequoia.SignatureMode.CLEAR)
        (self.suite / "InRelease").write_bytes(signed)
        self.key.write_text(str(key.extract_certificate()))

    def _append(self, index: str, entry: str) -> None:
        path = self.suite / "main" / index
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as stream:
            stream.write(entry)


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
