"""Computes a value once, in the first worker that needs it; others that need the same value wait."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from crosswheel.errors import HostError

Result = TypeVar("Result")


class SingleFlight:
    """Computed values, by key. A failure is tried again at the next call, unless it was a HostError."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[Hashable, threading.Lock] = {}
        self._results: dict[Hashable, Any] = {}
        self._refusals: dict[Hashable, HostError] = {}

    def lock_for(self, key: Hashable) -> threading.Lock:
        """Return the lock that a worker holds while it computes the value of a key."""
        with self._guard:
            return self._locks.setdefault(key, threading.Lock())

    def get(self, key: Hashable, make: Callable[[], Result]) -> Result:
        """Return the value of a key; the first call computes it with ``make``."""
        with self.lock_for(key):
            if key in self._refusals:
                raise self._refusals[key]
            if key not in self._results:
                try:
                    self._results[key] = make()
                except HostError as refusal:
                    self._refusals[key] = refusal
                    raise
            result: Result = self._results[key]
            return result
