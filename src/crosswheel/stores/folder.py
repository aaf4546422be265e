"""Store files in a folder of this machine, or one that is mounted here."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from crosswheel.files import make_folder, write_bytes
from crosswheel.stores.store import Content, Store, Stored, content_bytes, explained, folders_above

_NO_HARD_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


class FolderStore(Store):
    """A folder of this machine, or one that is mounted here."""

    parallel = 4

    def __init__(self, root: Path) -> None:
        self.url = str(root)
        self._root = root

    def listing(self, folder: str) -> dict[str, Stored]:
        """See :meth:`Store.listing`."""
        files, above = {}, len(os.path.join(self._root, ""))  # noqa: PTH118
        with explained(self.url):
            for file in _files(os.path.join(self._root, folder)):  # noqa: PTH118
                # A temporary file that is being renamed may be gone by now.
                if not file.name.startswith(".") and file.is_file():
                    status = file.stat()
                    stored = Stored(status.st_size, f"{status.st_mtime_ns}-{status.st_ino}")
                    files[file.path[above:]] = stored
        return files

    def read(self, path: str) -> bytes | None:
        """See :meth:`Store.read`."""
        with explained(self.url):
            try:
                return (self._root / path).read_bytes()
            except FileNotFoundError:
                return None

    def create(self, path: str, content: Content) -> bool:
        """See :meth:`Store.create`."""
        target = self._root / path
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        with explained(self.url):
            make_folder(target.parent)
            try:
                temporary.write_bytes(content_bytes(content))
                temporary.chmod(0o644)
                return _appear(temporary, target)
            finally:
                temporary.unlink(missing_ok=True)

    def write(self, path: str, content: bytes) -> None:
        """See :meth:`Store.write`."""
        with explained(self.url):
            make_folder((self._root / path).parent)
            write_bytes(self._root / path, content)

    def remove(self, path: str) -> None:
        """See :meth:`Store.remove`."""
        with explained(self.url):
            (self._root / path).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # the first folder that is not empty ends the loop
                for folder in folders_above(path):
                    (self._root / folder).rmdir()


def _files(folder: str) -> Iterator[os.DirEntry[str]]:
    """Yield what lies below a folder at any depth and is no folder: as text, as paths of thousands fill the memory."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as items:
        for item in items:
            if item.is_dir(follow_symlinks=False):
                yield from _files(item.path)
            else:
                yield item


def _appear(temporary: Path, target: Path) -> bool:
    """Give a complete file its final name; return ``False`` if the name is taken."""
    try:
        os.link(temporary, target)  # fails if the name is taken
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        # On file systems without hard links, such as a memory stick's; checking first leaves only a short race.
        if target.exists():
            return False
        temporary.replace(target)
    return True
