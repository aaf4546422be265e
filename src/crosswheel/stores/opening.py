"""Open the store of an index: a folder, S3 and compatible services, GCS, SFTP.

Publishing needs only two guarantees of a store: a file appears completely or not at all, and a file can be created
on the condition that its name is unused. Each kind of store provides these in its own way.
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
"""The extra of this package that each kind of store needs."""


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
        host = re.match(r"([^/:]+):(?!//)(.*)", url)  # the syntax of ssh and rsync
        guess = f"Is it sftp://{host[1]}/{host[2].lstrip('/')}? " if host else ""
        raise UsageError(
            f"{url}: there is no such kind of store",
            hint=f"{guess}Stores are s3://bucket/path, gs://bucket/path, sftp://user@host/path, or the path of a "
            "folder (./NAME, if a colon is in its name).",
        )
    try:
        if scheme in ("sftp", "ssh"):
            from crosswheel.stores.sftp import SftpStore  # imported late: its library is an extra

            return SftpStore(url)
        import fsspec  # imported late: it searches all installed packages for plugins

        filesystem, root = fsspec.url_to_fs(url, use_listings_cache=False, skip_instance_cache=True)
    except ImportError as error:
        raise MissingToolError(
            f"publishing to {scheme}:// needs a library that is not installed",
            hint=f"install it where crosswheel is: uv pip install --python {sys.executable} "
            + " ".join(f"'{library}'" for library in _libraries(_EXTRAS[scheme])),
        ) from error
    return ObjectStore(url, filesystem, root)


def _libraries(extra: str) -> list[str]:
    """Return the requirements of an extra of this package, not the extra itself: a registry may lack the package."""
    required = map(Requirement, metadata.requires("crosswheel") or ())
    return [
        f"{requirement.name}{requirement.specifier}"
        for requirement in required
        if requirement.marker
        and requirement.marker.evaluate({"extra": extra})
        and "extra" in str(requirement.marker)
    ]
