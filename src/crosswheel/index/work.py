"""The same work on many things, in several processes where that is worth starting them."""

from __future__ import annotations

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
            # Not "fork": this process may have threads, whose locks would be copied as they are.
            self._pool = ProcessPoolExecutor(mp_context=get_context("spawn"))
        return list(self._pool.map(function, items, chunksize=max(1, min(100, len(items) // 20))))

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
