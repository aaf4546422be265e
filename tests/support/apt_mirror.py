"""A mirror of Debian on the loopback interface, and a PATH on which this machine has neither apt nor dpkg."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from crosswheel.debian.suites import APT_HELPER
from support.servers import FolderServer


@dataclass
class AptMirror(FolderServer):
    """Serves what apt fetches from the machine's own mirror, when it is first asked for, and keeps it in ``folder``."""

    upstream: str = ""

    def body(self, path: str) -> tuple[bytes, str] | None:
        """Return the bytes at a path of the mirror; fetch them before, if they are not there."""
        file = self.folder / path.lstrip("/")
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            words = [
                APT_HELPER,
                "-o",
                "APT::Sandbox::User=root",
                "download-file",
                self.upstream + path[1:],
                file,
            ]
            subprocess.run(words, check=False, capture_output=True)
        return super().body(path)


def path_without_apt(folder: Path) -> str:
    """Return a PATH with all programs of this machine but those of Debian's package management."""
    folder.mkdir()
    for each in os.environ["PATH"].split(os.pathsep):
        for program in Path(each).glob("*") if Path(each).is_dir() else ():
            link = folder / program.name
            if not program.name.startswith(("apt", "dpkg", "debootstrap")) and not link.is_symlink():
                link.symlink_to(program)
    return str(folder)
