"""Guard a store that may be unreachable, slow or full, so that it never stops a build."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TypeVar

from crosswheel.errors import CrosswheelError
from crosswheel.stores.store import Store

SECONDS = 20.0
"""The time limit for a store's answer, without the transfer itself."""
_SLOWEST = 500_000
"""Bytes per second below which a store is too slow to be useful."""

T = TypeVar("T")


class GuardedStore:
    """A store that is used until it fails; its first failure is reported.

    Args:
        url: the store's URL, for messages.
        connect: opens the store on first use.
        warn: receives the reason why the store is no longer used.
        seconds: the time limit for an answer.
    """

    def __init__(
        self, url: str, connect: Callable[[], Store], warn: Callable[[str], None], seconds: float = SECONDS
    ) -> None:
        self.url = url
        self._connect, self._warn, self._seconds = connect, warn, seconds
        self._store: Store | None = None
        self._opening, self._turn = threading.Lock(), threading.Lock()
        self._failed: set[str] = set()

    def read(self, path: str, size: int = 0) -> bytes | None:
        """Return a file's bytes; ``None`` if it does not exist or cannot be read."""
        return self._ask("read", lambda store: store.read(path), None, size)

    def create(self, path: str, content: bytes) -> bool | None:
        """Store a file under an unused name; return whether the name was unused, ``None`` if the store failed."""
        return self._ask("written", lambda store: store.create(path, content), None, len(content))

    def write(self, path: str, content: bytes) -> bool:
        """Store a file, replacing an existing one; return whether that succeeded."""

        def work(store: Store) -> bool:
            store.write(path, content)
            return True

        return self._ask("written", work, False, len(content))

    def _ask(self, doing: str, work: Callable[[Store], T], default: T, size: int) -> T:
        if self._failed & {doing, "reached"}:
            return default
        try:
            return _within(self._seconds + size / _SLOWEST, lambda: self._work(work))
        except FutureTimeoutError:
            self._give_up("reached", f"it did not answer within {self._seconds + size / _SLOWEST:.0f} s")
        except CrosswheelError as error:
            self._give_up(doing, str(error))
        except Exception as error:  # a store's library may raise anything, and must not fail a build
            self._give_up(doing, f"{type(error).__name__}: {error}")
        return default

    def _work(self, work: Callable[[Store], T]) -> T:
        with self._opening:
            self._store = self._store or self._connect()
        # A store with a single connection serves one thread at a time.
        with self._turn if self._store.parallel == 1 else contextlib.nullcontext():
            return work(self._store)

    def _give_up(self, doing: str, reason: str) -> None:
        if doing not in self._failed:
            self._failed.add(doing)
            self._warn(
                f"the shared cache {self.url} could not be {doing}, and is not any more in this run: {reason}"
            )


def _within(seconds: float, work: Callable[[], T]) -> T:
    """Call a function in a daemon thread; raise if it takes too long."""
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(work())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return answer.result(timeout=seconds)
