"""Remove the channels of branches that are no longer published to."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from crosswheel.errors import StorageError
from crosswheel.index import people
from crosswheel.index.owner import LAST_PUBLICATION
from crosswheel.index.simple import list_pages
from crosswheel.publish.contents import FORMS, RECORD_SUFFIX, Publication, belongs_to_channel, parse
from crosswheel.stores.store import Store


@dataclass(frozen=True)
class Pruned:
    """What was removed; with ``dry_run``, what would be.

    Attributes:
        removed: the names of the channels.
        unknown: maps channels whose last publication is unknown to the reason; they are kept.
    """

    removed: Sequence[str]
    unknown: Sequence[StorageError] = ()


def prune(
    store: Store, published_before: datetime.datetime, *, keep: Collection[str] = (), dry_run: bool = False
) -> Pruned:
    """Remove old channels below the development store, but only files that publishing wrote there.

    A concurrent reader may miss pages, but never sees a link to a missing wheel.

    Args:
        store: the development store.
        published_before: channels that were last published to before this time are removed.
        keep: names of branches whose channels are always kept.
        dry_run: remove nothing; only report.

    Raises:
        StorageError: the store failed.
    """
    listing = store.listing("")
    ends = [path for path in listing if path.endswith(f"/{LAST_PUBLICATION}")]
    old, unknown = [], []
    for path, data in store.read_all(ends).items():
        name = path[: -len(LAST_PUBLICATION) - 1]
        try:
            last = parse(Publication, store, path, data)
        except StorageError as error:
            unknown.append(error)
            continue
        # A channel of another name does not belong to a branch of this store; it may be production's.
        if name not in keep and last.published < published_before and last.channel in (None, name):
            old.append(name)
    for name in [] if dry_run else old:
        _remove(store, name, [path[len(name) + 1 :] for path in listing if path.startswith(f"{name}/")])
    return Pruned(sorted(old), unknown)


def _remove(store: Store, channel: str, paths: Sequence[str]) -> None:
    # A branch a and a branch a/b may both have existed; keep the latter's files.
    below = tuple(path[: -len(LAST_PUBLICATION)] for path in paths if path.endswith(f"/{LAST_PUBLICATION}"))
    removable = [path for path in paths if belongs_to_channel(path) and not path.startswith(below)]
    for _, together in itertools.groupby(sorted(removable, key=_removed_when), _removed_when):
        store.remove_all(f"{channel}/{path}" for path in together)


def _removed_when(path: str) -> int:
    """Return the rank for removal: lists of projects, projects' pages, records, other files, the owner's mark."""
    if path == LAST_PUBLICATION:
        return 4
    if path in (people.HOME, people.STATUS) or path.endswith((*list_pages(), f"/{people.TARGET_PAGE}")):
        return 0
    if path.endswith(tuple(f"/{form}" for form in FORMS)) or path.startswith("project/"):
        return 1
    return 2 if path.endswith(RECORD_SUFFIX) else 3
