"""What stands between crosswheel and a program that it runs: when the program ends, all that it started ends too.

Run as a script, once per program, so it imports next to nothing::

    python -ISs supervisor.py PARENT REPORT GRACE LOCALE -- PROGRAM ARGUMENT...

PARENT is the process id of who runs it, REPORT a file descriptor that tells why the program could not be started,
GRACE how many seconds the program may take to end when it is asked to, and LOCALE the value of LC_CTYPE, which Python
sets for itself where there is none.

A process in a session of its own is in no group that could be signalled. But those whose parents end become children of
the nearest ancestor that asks for them (``PR_SET_CHILD_SUBREAPER``), which this does, so that it finds them all. When
crosswheel itself is killed, the kernel tells this (``PR_SET_PDEATHSIG``).

Signals: SIGTERM asks the program to end, and ends it after GRACE; SIGUSR1 ends it at once.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
import time

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_SIGNALS = {signal.SIGCHLD, signal.SIGTERM, signal.SIGUSR1}
# What cannot be ended, such as what runs as another user by now, is not waited for.
_LONGEST_END = 10.0


def main(arguments: list[str]) -> None:
    """Run a program, and end as it ended."""
    parent, report, grace = int(arguments[0]), int(arguments[1]), float(arguments[2])
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGUSR1)
    if os.getppid() != parent:
        return  # killed already
    if not arguments[3]:
        os.environ.pop("LC_CTYPE", None)
    status = _waited(_started(arguments[5:], report), grace)
    _end_all()
    _end_as(status)


def _started(words: list[str], report: int) -> int:
    os.set_inheritable(report, False)
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores these
            signal.signal(number, signal.SIG_DFL)
        try:
            os.execvp(words[0], words)
        except OSError as error:
            os.write(report, str(error.errno).encode())
        os._exit(127)
    os.close(report)
    return child


def _waited(child: int, grace: float) -> int:
    """Return how the program ended, or that it was told to."""
    end: float | None = None
    while True:
        received = signal.sigtimedwait(_SIGNALS, 1.0 if end is None else max(end - time.monotonic(), 0.0))
        status = _reaped(child)
        if status is not None:
            return status
        if received is not None and received.si_signo == signal.SIGTERM and end is None:
            end = time.monotonic() + grace
            with contextlib.suppress(OSError):
                os.killpg(child, signal.SIGTERM)
        if (received is not None and received.si_signo == signal.SIGUSR1) or (
            end and time.monotonic() >= end
        ):
            return int(signal.SIGKILL)


def _reaped(child: int | None = None) -> int | None:
    """Take note of all that has ended; return how ``child`` did, if it has."""
    status = None
    with contextlib.suppress(ChildProcessError):
        while True:
            ended, how = os.waitpid(-1, os.WNOHANG)
            if ended == 0:
                break
            status = how if ended == child else status
    return status


def _end_all() -> None:
    """End everything that descends from this, whatever session and group it is in."""
    end = time.monotonic() + _LONGEST_END
    while (children := _descendants()) and time.monotonic() < end:
        for process in children:
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGKILL)
        signal.sigtimedwait({signal.SIGCHLD}, 0.05)
        _reaped()


def _descendants() -> list[int]:
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - pathlib would double the start-up time
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as stream:  # noqa: PTH123
                parent = int(stream.read().rpartition(b")")[2].split()[1])
                children.setdefault(parent, []).append(int(name))
    descendants: list[int] = []
    todo = [os.getpid()]
    while todo:
        below = children.get(todo.pop(), [])
        descendants += below
        todo += below
    return descendants


def _end_as(status: int) -> None:
    if os.WIFSIGNALED(status):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the program's own is enough
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main(sys.argv[1:])
