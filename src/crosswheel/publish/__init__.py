"""Publishing: a site → a channel of a store, so that no reader ever sees a link to what is not there.

What is in a channel follows from the wheels in it alone. Each lies there with files that never change; the
last of them, its record, makes it published, as long as the wheel and its METADATA are there as the record says.
Pages are made from the records that a listing of the store shows. Whoever publishes lists again after writing
pages, and makes them again if somebody else published meanwhile: so no lock is needed, the last one to write has
seen everything, and a publisher that dies leaves nothing that the next one would not put right.
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
