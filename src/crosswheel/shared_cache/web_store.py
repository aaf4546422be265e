"""Read files from a web server, which cannot list them."""

from __future__ import annotations

from urllib.parse import quote

import httpx

from crosswheel.download import new_client
from crosswheel.errors import StorageError
from crosswheel.stores.store import Content, Store, Stored, explained

_ABSENT = (httpx.codes.NOT_FOUND, httpx.codes.FORBIDDEN, httpx.codes.GONE)  # S3 forbids what is not there


class HttpsStore(Store):
    """A read-only store of files below an ``https`` or ``http`` URL."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._client = new_client()

    def listing(self, folder: str) -> dict[str, Stored]:
        """See :meth:`Store.listing`; a web server lists nothing."""
        raise self._refused("listed")

    def read(self, path: str) -> bytes | None:
        """See :meth:`Store.read`."""
        with explained(self.url):
            answer = self._client.get(f"{self.url}/{quote(path)}")
            if answer.status_code in _ABSENT:
                return None
            return answer.raise_for_status().content

    def create(self, path: str, content: Content) -> bool:
        """See :meth:`Store.create`; a web server is only read."""
        raise self._refused("written")

    def write(self, path: str, content: bytes) -> None:
        """See :meth:`Store.write`; a web server is only read."""
        raise self._refused("written")

    def remove(self, path: str) -> None:
        """See :meth:`Store.remove`; a web server is only read."""
        raise self._refused("changed")

    def _refused(self, doing: str) -> StorageError:
        return StorageError(
            f"{self.url} is a web server, and cannot be {doing}",
            hint="name the store behind it (s3://, gs://, sftp:// or a folder); readers may go on with this address.",
        )
