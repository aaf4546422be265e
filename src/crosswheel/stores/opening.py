"""Where an index is published to: a folder, S3 and what speaks its protocol, GCS, SFTP.

All that publishing asks of a store is that a file appears whole or not at all, and that one can be created
only if there is none of that name yet. Each store has its own way of doing so.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from crosswheel.errors import MissingToolError, UsageError
from crosswheel.stores.folder import FolderStore
from crosswheel.stores.objects import ObjectStore
from crosswheel.stores.store import Store

if TYPE_CHECKING:
    pass


_EXTRAS = {"s3": "s3", "gs": "gcs", "gcs": "gcs", "sftp": "sftp", "ssh": "sftp"}


def open_store(url: str) -> Store:
    """Return the store at a URL, such as ``s3://bucket/path``, ``gs://…``, ``sftp://…``, or a folder's path.

    Raises:
        MissingToolError: the store needs a library that is not installed.
        UsageError: there is no such kind of store.
        StorageError: it cannot be reached.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme == "file":
        return FolderStore(Path(rest if separator else url))
    import fsspec  # looks for its plugins among all that is installed, which takes a while

    try:
        if scheme in ("sftp", "ssh"):
            from crosswheel.stores.sftp import SftpStore  # its library is an extra

            return SftpStore(url)
        filesystem, root = fsspec.url_to_fs(url, use_listings_cache=False, skip_instance_cache=True)
    except ImportError as error:
        raise MissingToolError(
            f"publishing to {scheme}:// needs a library that is not installed",
            hint=f"pip install 'crosswheel[{_EXTRAS.get(scheme, scheme)}]'",
        ) from error
    except ValueError as error:
        raise UsageError(
            f"{url}: there is no such kind of store",
            hint="s3://bucket/path, gs://bucket/path, sftp://user@host/path, or the path of a folder.",
        ) from error
    return ObjectStore(url, filesystem, root)
