"""Run the same function on many items, in several processes."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from typing import TypeVar

from crosswheel.index.ahead import can_fork

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


def map_in_processes(function: Callable[[Item], Outcome], items: Sequence[Item]) -> list[Outcome]:
    """Call a function with each item; return the outcomes in the order of the items.

    Function, items and outcomes must be picklable. An exception of the function is raised here.
    """
    # Run the first item before forking: the modules that it loads need not be loaded in each process.
    first = function(items[0])
    with ProcessPoolExecutor(
        mp_context=get_context("fork" if can_fork() else "spawn"), initializer=_begin
    ) as pool:
        try:
            return [first, *pool.map(function, items[1:], chunksize=max(1, min(20, len(items) // 20)))]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _begin() -> None:
    """Prepare one of the processes."""
    # Objects that exist at the start stay until the end: exclude them from garbage collection.
    gc.freeze()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process if its parent was killed, and so could not stop it."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
