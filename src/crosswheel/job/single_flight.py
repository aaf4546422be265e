"""Making a thing once, by whichever worker needs it first; the others wait for that thing alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from crosswheel.errors import HostError

Thing = TypeVar("Thing")


class SingleFlight:
    """Things that were made, by key. What raised is tried again when it is asked for again, unless by HostError."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[Hashable, threading.Lock] = {}
        self._things: dict[Hashable, Any] = {}
        self._refusals: dict[Hashable, HostError] = {}

    def lock_for(self, key: Hashable) -> threading.Lock:
        """Return the lock that workers hold while they make the thing of a key."""
        with self._guard:
            return self._locks.setdefault(key, threading.Lock())

    def get(self, key: Hashable, make: Callable[[], Thing]) -> Thing:
        """Return the thing of a key, made by ``make`` if this is the first call for it."""
        with self.lock_for(key):
            if key in self._refusals:
                raise self._refusals[key]
            if key not in self._things:
                try:
                    self._things[key] = make()
                except HostError as refusal:
                    self._refusals[key] = refusal
                    raise
            thing: Thing = self._things[key]
            return thing
