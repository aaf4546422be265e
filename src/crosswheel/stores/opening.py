"""Where an index is published to: a folder, S3 and what speaks its protocol, GCS, SFTP.

All that publishing asks of a store is that a file appears whole or not at all, and that one can be created
only if there is none of that name yet. Each store has its own way of doing so.
"""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from crosswheel.errors import MissingToolError, UsageError
from crosswheel.stores.folder import FolderStore
from crosswheel.stores.objects import ObjectStore
from crosswheel.stores.store import Store

_EXTRAS = {"s3": "s3", "gs": "gcs", "gcs": "gcs", "sftp": "sftp", "ssh": "sftp"}
"""The optional dependencies of this package that a kind of store needs."""


def open_store(url: str) -> Store:
    """Return the store at a URL, such as ``s3://bucket/path``, ``gs://…``, ``sftp://…``, or a folder's path.

    Raises:
        MissingToolError: the store needs a library that is not installed.
        UsageError: there is no such kind of store.
        StorageError: it cannot be reached.
    """
    scheme, separator, location = url.partition("://")
    if (not separator and not re.match(r"[^/]+:", url)) or (scheme == "file" and location.startswith("/")):
        return FolderStore(Path(location if separator else url))
    if not separator or scheme not in _EXTRAS or not location.strip("/"):
        host = re.match(r"([^/:]+):(?!//)(.*)", url)  # as ssh and rsync write it
        guess = f"Is it sftp://{host[1]}/{host[2].lstrip('/')}? " if host else ""
        raise UsageError(
            f"{url}: there is no such kind of store",
            hint=f"{guess}Stores are s3://bucket/path, gs://bucket/path, sftp://user@host/path, or the path of a "
            "folder (./NAME, if a colon is in its name).",
        )
    try:
        if scheme in ("sftp", "ssh"):
            from crosswheel.stores.sftp import SftpStore  # its library is an extra

            return SftpStore(url)
        import fsspec  # looks for its plugins among all that is installed, which takes a while

        filesystem, root = fsspec.url_to_fs(url, use_listings_cache=False, skip_instance_cache=True)
    except ImportError as error:
        raise MissingToolError(
            f"publishing to {scheme}:// needs a library that is not installed",
            hint=f"install it where crosswheel is: uv pip install --python {sys.executable} "
            + " ".join(f"'{library}'" for library in _libraries(_EXTRAS[scheme])),
        ) from error
    return ObjectStore(url, filesystem, root)


def _libraries(extra: str) -> list[str]:
    """Return what is required for an extra of this package, without naming the package: a registry may not have it."""
    required = map(Requirement, metadata.requires("crosswheel") or ())
    return [
        f"{requirement.name}{requirement.specifier}"
        for requirement in required
        if requirement.marker
        and requirement.marker.evaluate({"extra": extra})
        and "extra" in str(requirement.marker)
    ]
