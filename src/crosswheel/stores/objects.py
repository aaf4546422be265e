"""Store files in object storage: S3, compatible services, and GCS."""

from __future__ import annotations

import contextlib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from crosswheel.stores.store import Content, Store, Stored, content_bytes, explained

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


_IMMUTABLE = "public, max-age=31536000, immutable"


_SHORT = "public, max-age=60"


_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".provenance": "application/json",
    ".metadata": "text/plain; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".yanked": "text/plain; charset=utf-8",
}


class ObjectStore(Store):
    """S3 or GCS: an object appears as a whole, and can be created on the condition that it does not exist.

    If a compatible server ignores that condition (``If-None-Match``), only a check beforehand protects existing
    objects.
    """

    def __init__(self, url: str, filesystem: AbstractFileSystem, root: str) -> None:
        self.url = url.rstrip("/")
        self._fs = filesystem
        self._root = root.rstrip("/")

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}"

    def listing(self, folder: str) -> dict[str, Stored]:
        """See :meth:`Store.listing`."""
        with explained(self.url):
            self._fs.invalidate_cache()
            try:
                objects = self._fs.find(self._full(folder), detail=True)
            except FileNotFoundError:
                return {}
        listing = {}
        for full, details in objects.items():
            path = full[len(self._root) + 1 :]
            # s3fs lists a folder itself if it appears during the listing.
            if details["type"] == "file" and not any(part.startswith(".") for part in path.split("/")):
                mark = str([details.get(key) for key in ("ETag", "generation", "mtime")])
                listing[path] = Stored(details["size"], mark)
        return listing

    def read(self, path: str) -> bytes | None:
        """See :meth:`Store.read`."""
        with explained(self.url):
            try:
                data: bytes = self._fs.cat_file(self._full(path))
            except FileNotFoundError:
                return None
            return data

    def remove(self, path: str) -> None:
        """See :meth:`Store.remove`."""
        with explained(self.url), contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(self._full(path))

    def create(self, path: str, content: Content) -> bool:
        """See :meth:`Store.create`."""
        with explained(self.url):
            try:
                self._fs.pipe_file(
                    self._full(path), content_bytes(content), mode="create", **self._headers(path)
                )
            except FileExistsError:
                return False
            except OSError as error:
                if "PreconditionFailed" not in str(error) and "ConditionalRequestConflict" not in str(error):
                    raise
                return False
        return True

    def write(self, path: str, content: bytes) -> None:
        """See :meth:`Store.write`."""
        with explained(self.url):
            self._fs.pipe_file(self._full(path), content, **self._headers(path))

    def _headers(self, path: str) -> dict[str, Any]:
        if "s3" in self._fs.protocol:
            return {"ContentType": content_type(path), "CacheControl": cache_control(path)}
        return {
            "content_type": content_type(path),
            "fixed_key_metadata": {"cache_control": cache_control(path)},
        }


def content_type(path: str) -> str:
    """Return the content type with which a file should be served."""
    if path.startswith("simple/") and path.endswith("index.json"):
        return "application/vnd.pypi.simple.v1+json"
    return _TYPES.get(PurePosixPath(path).suffix, "application/octet-stream")


def cache_control(path: str) -> str:
    """Return how long clients may cache a file: a wheel's files for ever, pages for a minute."""
    return _IMMUTABLE if ".whl" in path and not path.endswith(".yanked") else _SHORT
