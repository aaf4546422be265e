"""Tell which tool owns a folder with an index by a marker file, and refuse to write into another's folder."""

from __future__ import annotations

from pathlib import Path

from crosswheel.errors import UsageError

STATE_FILE = ".crosswheel.json"
"""The state an index was made from; its presence shows that `crosswheel index` made the folder's contents."""
UNFINISHED = ".crosswheel.unfinished"
"""The paths of the files in ``simple/`` that are being written; removed once all are written."""
LAST_PUBLICATION = "last-publication.json"
"""The last publisher's statement; its presence shows that the folder is a channel."""


def refuse_foreign(site: Path) -> None:
    """Refuse to put an index into a folder with other contents; hidden files do not count.

    Raises:
        UsageError: the folder is a channel, or is not empty and has no index.
    """
    if (site / LAST_PUBLICATION).exists():
        raise UsageError(
            f"{site} is a channel, and grows by `crosswheel publish` alone",
            hint="give another --index-tree-root, and publish that one to the channel.",
        )
    ours = any((site / name).is_file() for name in (STATE_FILE, UNFINISHED))
    if not ours and site.exists() and any(item.name[0] != "." for item in site.iterdir()):
        raise UsageError(
            f"there is something in {site} that `crosswheel index` did not make",
            hint="give an --index-tree-root that is empty, or not there yet. If this one was an index and its "
            f"{STATE_FILE} is lost, remove it: it is made anew from the wheels.",
        )
