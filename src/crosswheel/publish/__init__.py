"""Publish a site to a channel of a store, so that no reader ever sees a link to a missing file.

The wheels in a channel alone decide its contents. A wheel's files never change; its record is written last and
publishes it, as long as the wheel and its METADATA match the record. Pages are made from the records in a listing of
the store. A publisher lists the store again after it has written pages, and writes them again if another one
published meanwhile. So no lock is needed: the last writer has seen everything, and the next publisher repairs what
an interrupted one left.
"""

from __future__ import annotations

from crosswheel.publish.channel import Channel, Stores, channel_of
from crosswheel.publish.pruning import Pruned, prune
from crosswheel.publish.publisher import Published, publish
from crosswheel.publish.yanking import WheelSelection, Yanked, set_yanked
from crosswheel.stores.opening import open_store
from crosswheel.stores.store import Store

__all__ = [
    "Channel",
    "Pruned",
    "Published",
    "Store",
    "Stores",
    "WheelSelection",
    "Yanked",
    "channel_of",
    "open_store",
    "prune",
    "publish",
    "set_yanked",
]
