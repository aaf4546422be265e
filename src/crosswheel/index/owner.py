"""Whose a folder with an index is: a file in it tells, and nobody writes into another's."""

from __future__ import annotations

from pathlib import Path

from crosswheel.errors import UsageError

STATE_FILE = ".crosswheel.json"
"""What an index was made from: its presence tells that `crosswheel index` made what is in the folder."""
UNFINISHED = ".crosswheel.unfinished"
"""The paths of the files in ``simple/`` that are about to be written; gone when all is written."""
LAST_PUBLICATION = "last-publication.json"
"""What the last publisher said: its presence tells that the folder is a channel."""


def refuse_foreign(site: Path) -> None:
    """Refuse a folder for an index that has something else in it; what is hidden does not count.

    Raises:
        UsageError: it is a channel, or it is not empty, and no index was made there.
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
