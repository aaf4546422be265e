"""A Debian archive of one's own: real packages in a folder that real apt reads."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DebianArchive:
    """An archive in ``folder``; ``sources`` is the file that leads apt to it."""

    folder: Path

    @property
    def sources(self) -> Path:
        """The sources file to name in ``CROSSWHEEL_DEBIAN_SOURCES``."""
        file = self.folder / "sources.list"
        lines = [f"{kind} [trusted=yes] file:{self.folder} ./\n" for kind in ("deb", "deb-src")]
        file.write_text("".join(lines))
        for index in ("Packages", "Sources"):
            (self.folder / index).touch()
        return file

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
        entry = f"{control}Filename: ./{deb.name}\n{_facts(deb)}\n"
        self._append("Packages", entry)

    def add_source(self, name: str, version: str, archive: Path) -> None:
        """Put a source package into the archive, whose original sources are those of a tar archive."""
        original = self.folder / f"{name}_{version}.orig.tar.gz"
        original.write_bytes(archive.read_bytes())
        description = self.folder / f"{name}_{version}-1.dsc"
        fields = f"Format: 3.0 (quilt)\nVersion: {version}-1\nArchitecture: any\nMaintainer: Nobody <n@example.org>\n"
        description.write_text(f"Source: {name}\n{fields}")
        files = [description, original]
        sums = "".join(f" {_sha256(file)} {file.stat().st_size} {file.name}\n" for file in files)
        md5s = "".join(f" {_md5(file)} {file.stat().st_size} {file.name}\n" for file in files)
        self._append(
            "Sources",
            f"Package: {name}\nBinary: {name}\n{fields}Directory: .\nFiles:\n{md5s}Checksums-Sha256:\n{sums}\n",
        )

    def _append(self, index: str, entry: str) -> None:
        with (self.folder / index).open("a") as stream:
            stream.write(entry)


def _facts(file: Path) -> str:
    return f"Size: {file.stat().st_size}\nSHA256: {_sha256(file)}\n"


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _md5(file: Path) -> str:
    return hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
