"""Work begun in a process of its own, so that this one can load meanwhile what comes after it."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import IO, NoReturn, TypeVar

Outcome = TypeVar("Outcome")


@contextlib.contextmanager
def ahead(function: Callable[[], Outcome]) -> Iterator[Callable[[], Outcome]]:
    """Call a function in another process while the block runs; give what waits for its outcome and returns it.

    The function may only read, for it may be called twice: where no process can be forked, or that brings no outcome
    (the function raised an exception, or was killed), it is called here when its outcome is asked for. The outcome must
    be picklable.
    """
    if not can_fork():
        yield function
        return
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        _bring(function, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        try:
            yield partial(_outcome, stream, function)
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def can_fork() -> bool:
    """Whether a forked process would be sound: with all that was loaded, it is there at once.

    But it has the locks of this one's threads as they are, too, and on macOS those of the system's libraries.
    """
    return sys.platform == "linux" and threading.active_count() == 1


def _bring(function: Callable[[], object], writing: int) -> NoReturn:
    """Write a function's outcome to a pipe, and end this process: nothing of what it was forked from is ended."""
    try:
        with os.fdopen(writing, "wb") as stream:
            pickle.dump(function(), stream, pickle.HIGHEST_PROTOCOL)
    finally:
        os._exit(0)


def _outcome(stream: IO[bytes], function: Callable[[], Outcome]) -> Outcome:
    try:
        outcome: Outcome = pickle.loads(stream.read())
    except (EOFError, pickle.UnpicklingError):
        return function()
    return outcome
