"""Making a thing once, by whichever worker needs it first; the others wait for that thing alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

Thing = TypeVar("Thing")


class Once:
    """Things that were made, by key. What raised is made again when it is asked for again."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[Hashable, threading.Lock] = {}
        self._things: dict[Hashable, Any] = {}

    def get(self, key: Hashable, make: Callable[[], Thing]) -> Thing:
        """Return the thing of a key, made by ``make`` if this is the first call for it."""
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._things:
                self._things[key] = make()
            thing: Thing = self._things[key]
            return thing
