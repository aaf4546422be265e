"""Start work in another process, so that this one can load other modules meanwhile."""

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
    """Call a function in another process while the block runs; yield a callable that waits for the outcome.

    The function may only read, because it may run twice: if no process can be forked, or the process returns no outcome
    (the function raised an exception, or was killed), the callable runs the function here. The outcome must be
    picklable.
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
    """Return whether forking is safe; a forked process has all loaded modules at once.

    A forked process also inherits the state of this one's locks, and on macOS that of the system libraries' locks.
    """
    return sys.platform == "linux" and threading.active_count() == 1


def _bring(function: Callable[[], object], writing: int) -> NoReturn:
    """Write a function's outcome to a pipe and exit this process without running the parent's cleanup."""
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
