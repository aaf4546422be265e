"""The same work on many things, in several processes where that is worth starting them."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from types import TracebackType
from typing import Optional, TypeVar

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


class Workers:
    """Calls a function with each of many items; a context manager, which ends its processes."""

    def __init__(self) -> None:
        self._pool: Optional[ProcessPoolExecutor] = None

    def map(self, function: Callable[[Item], Outcome], items: Sequence[Item], *, many: bool) -> list[Outcome]:
        """Return the outcomes in the items' order; unless it is ``many``, the work is done in this process.

        Function, items and outcomes must be picklable. An exception of the function is raised here.
        """
        if not many:
            return [function(item) for item in items]
        if self._pool is None:
            self._pool = ProcessPoolExecutor(mp_context=get_context(_start_method()))
        return list(self._pool.map(function, items, chunksize=max(1, min(20, len(items) // 20))))

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def _start_method() -> str:
    # A forked process has all that was loaded at once. But it has the locks of this one's threads as they are, too,
    # and on macOS those of the system's libraries.
    return "fork" if sys.platform == "linux" and threading.active_count() == 1 else "spawn"
