"""Store files in a folder of another machine over SFTP."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

import paramiko

from crosswheel.stores.store import Content, Store, Stored, content_bytes, explained, folders_above


class SftpStore(Store):
    """A folder of another machine, accessed over SFTP.

    Its host key must be known to this user's ssh, or be in the file ``CROSSWHEEL_SFTP_KNOWN_HOSTS``. The user's
    keys come from the agent and ``~/.ssh``, or from the file ``CROSSWHEEL_SFTP_KEY``.
    """

    parallel = 1

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        parts = urlsplit(url)
        self._root = PurePosixPath(unquote(parts.path) or "/")
        client = paramiko.SSHClient()
        client.load_system_host_keys()
        if "CROSSWHEEL_SFTP_KNOWN_HOSTS" in os.environ:
            client.load_host_keys(os.environ["CROSSWHEEL_SFTP_KNOWN_HOSTS"])
        with explained(url):
            client.connect(
                parts.hostname or "",
                port=parts.port or 22,
                username=parts.username,
                key_filename=os.environ.get("CROSSWHEEL_SFTP_KEY"),
            )
            self._sftp = client.open_sftp()

    def listing(self, folder: str) -> dict[str, Stored]:
        """See :meth:`Store.listing`."""
        with explained(self.url):
            return dict(self._walk(PurePosixPath(folder)))

    def _walk(self, folder: PurePosixPath) -> Iterator[tuple[str, Stored]]:
        try:
            items = self._sftp.listdir_attr(str(self._root / folder))
        except FileNotFoundError:
            return
        for item in items:
            if item.filename.startswith("."):
                continue
            if stat.S_ISDIR(item.st_mode or 0):
                yield from self._walk(folder / item.filename)
            else:
                yield str(folder / item.filename), Stored(item.st_size or 0, str(item.st_mtime))

    def read(self, path: str) -> bytes | None:
        """See :meth:`Store.read`."""
        with explained(self.url):
            try:
                with self._sftp.open(str(self._root / path), "rb") as stream:
                    stream.prefetch()
                    return bytes(stream.read())
            except FileNotFoundError:
                return None

    def create(self, path: str, content: Content) -> bool:
        """See :meth:`Store.create`."""
        with self._temporary(path, content_bytes(content)) as (temporary, target):
            try:
                self._sftp.rename(temporary, target)  # the protocol's own rename replaces nothing
            except OSError:
                self._sftp.stat(target)
                return False
        return True

    def write(self, path: str, content: bytes) -> None:
        """See :meth:`Store.write`."""
        with self._temporary(path, content) as (temporary, target):
            self._sftp.posix_rename(temporary, target)

    def remove(self, path: str) -> None:
        """See :meth:`Store.remove`."""
        with explained(self.url):
            with contextlib.suppress(FileNotFoundError):
                self._sftp.remove(str(self._root / path))
            with contextlib.suppress(OSError):  # the first folder that is not empty ends the loop
                for folder in folders_above(path):
                    self._sftp.rmdir(str(self._root / folder))

    @contextlib.contextmanager
    def _temporary(self, path: str, content: bytes) -> Iterator[tuple[str, str]]:
        target = self._root / path
        temporary = str(target.with_name(f".{target.name}.{secrets.token_hex(4)}"))
        with explained(self.url):
            self._make_folder(target.parent)
            try:
                with self._sftp.open(temporary, "wb") as stream:
                    stream.set_pipelined(True)
                    stream.write(content)
                self._open_to_all(temporary, 0o644)
                yield temporary, str(target)
            finally:
                with contextlib.suppress(OSError):
                    self._sftp.remove(temporary)

    def _make_folder(self, folder: PurePosixPath) -> None:
        try:
            self._sftp.stat(str(folder))
        except FileNotFoundError:
            self._make_folder(folder.parent)
            try:
                self._sftp.mkdir(str(folder))
            except OSError:
                self._sftp.stat(str(folder))  # another publisher created it meanwhile
            else:
                self._open_to_all(str(folder), 0o755)

    def _open_to_all(self, path: str, mode: int) -> None:
        """Let every user read a new file or folder, whatever the server's umask."""
        with contextlib.suppress(OSError):  # some servers do not support modes
            self._sftp.chmod(path, mode)
