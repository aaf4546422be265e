"""Removing the channels of branches that nobody publishes to any more."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Collection

from crosswheel.index.owner import LAST_PUBLICATION
from crosswheel.publish.contents import Publication
from crosswheel.stores.store import Store


def prune(
    store: Store, published_before: datetime.datetime, *, keep: Collection[str] = (), dry_run: bool = False
) -> list[str]:
    """Remove old channels below the development store; return their names.

    A reader meanwhile finds pages missing, and never a link to a wheel that is not there.

    Args:
        store: the development store.
        published_before: channels that were last published to before this moment are removed.
        keep: names of branches whose channels stay in any case.
        dry_run: only say which would be removed.

    Raises:
        StorageError: the store failed.
    """
    listing = store.listing("")
    ends = [path for path in listing if path.endswith(f"/{LAST_PUBLICATION}")]
    old = []
    for path, data in store.read_all(ends).items():
        name = path[: -len(LAST_PUBLICATION) - 1]
        if name not in keep and Publication.model_validate_json(data).published < published_before:
            old.append(name)
    for name in [] if dry_run else old:
        _remove(store, name, [path[len(name) + 1 :] for path in listing if path.startswith(f"{name}/")])
    return sorted(old)


def _remove(store: Store, channel: str, paths: list[str]) -> None:
    # A branch a and a branch a/b can both have been: what is of the latter stays.
    own = [path for path in paths if path.split("/")[0] in ("simple", "project", "assets") or "/" not in path]
    for _, together in itertools.groupby(sorted(own, key=_removed_when), _removed_when):
        store.remove_all(f"{channel}/{path}" for path in together)


def _removed_when(path: str) -> int:
    """Order removals: pages that name projects, pages of projects, all else; what tells of the channel last."""
    if path == LAST_PUBLICATION:
        return 3
    if path in ("index.html", "status.html", "simple/index.html", "simple/index.json"):
        return 0
    return 1 if path.endswith(("/index.html", "/index.json")) or path.startswith("project/") else 2
