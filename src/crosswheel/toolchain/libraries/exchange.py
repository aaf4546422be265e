"""Exchange what was built, C libraries and Pythons, through the team's cache: archives without paths of any machine."""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
import tempfile
from pathlib import Path

from crosswheel.errors import CrosswheelError
from crosswheel.shared_cache.cache import SharedCache
from crosswheel.sources.archive import unpack

KIND = "library"
# These are in what was stored, so they stay, also for other kinds.
_TOP, _ARCHIVE = "library", "library.tar.gz"
# Replaces the folder in texts that tell builds where it lies.
_FOLDER = b"/crosswheel-folder-of-this-library"


def fetch_folder(shared: SharedCache | None, kind: str, folder: Path, prefix: Path) -> bool:
    """Fill an empty folder, later moved to ``prefix``, from the shared cache; return whether it has such a one."""
    if shared is None:
        return False
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        scratch = Path(name)
        if shared.get(kind, prefix.name, scratch) is None:
            return False
        try:
            tree = unpack(scratch / _ARCHIVE, scratch / "unpacked")
        except CrosswheelError as error:
            shared.warn(f"the shared cache's {prefix.name} cannot be used: {error}")
            return False
        for path in tree.rglob("*"):
            if path.is_file() and not path.is_symlink():
                data = path.read_bytes()
                if _FOLDER in data:
                    path.write_bytes(data.replace(_FOLDER, str(prefix).encode()))
        shutil.copytree(tree, folder, symlinks=True, dirs_exist_ok=True)
    return True


def share_folder(shared: SharedCache | None, kind: str, prefix: Path) -> None:
    """Share a folder that was built here, unless one of its binary files names a folder of this machine."""
    if shared is None or not shared.is_writable:
        return
    data = _archive(prefix)
    if data is None:
        return
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / _ARCHIVE
        path.write_bytes(data)
        shared.put(kind, prefix.name, {}, {"archive": path})


def _archive(prefix: Path) -> bytes | None:
    """Return an archive of a folder, reproducible from its files; ``None`` if it cannot be shared."""
    buffer, own = io.BytesIO(), str(prefix).encode()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for path in sorted(prefix.rglob("*")):
            member = tarfile.TarInfo(f"{_TOP}/{path.relative_to(prefix).as_posix()}")
            if path.is_symlink():
                member.type, member.linkname = tarfile.SYMTYPE, str(path.readlink())
                tar.addfile(member)
            elif path.is_file():
                data = path.read_bytes()
                if own in data:
                    if b"\0" in data:
                        return None
                    data = data.replace(own, _FOLDER)
                member.size, member.mode = len(data), 0o755 if path.stat().st_mode & 0o100 else 0o644
                tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()
