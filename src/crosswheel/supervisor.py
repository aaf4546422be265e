"""Runs a program for crosswheel, and when it ends, ends all that it started.

Run as a script, once per program, so it imports next to nothing::

    python -ISs supervisor.py PARENT REPORT GRACE LOCALE LIMITS -- PROGRAM ARGUMENT...

PARENT is the process id of who runs it; REPORT a file descriptor that receives why the program could not be started
(``error ERRNO``), the processor time of all that ran (``used SECONDS``), and the memory of the largest of them (``peak
KIBIBYTES``), a line each; GRACE how many seconds the program may take to end when it is asked to; LOCALE the value of
LC_CTYPE, which Python sets for itself where there is none; and LIMITS the program's resource limits, such as
``NPROC=100,CORE=0``.

A process in a session of its own cannot be signalled by its group. But a process whose parent ends becomes a child of
the nearest ancestor that is a subreaper (``PR_SET_CHILD_SUBREAPER``), which the supervisor is, so that it finds them
all. If crosswheel itself is killed, the kernel signals the supervisor (``PR_SET_PDEATHSIG``).

Signals: SIGTERM asks the program to end, and kills it after GRACE; SIGUSR1 kills it at once.
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
# The limit of waiting for processes that cannot be killed, such as those of another user.
_LONGEST_END = 10.0


def main(arguments: list[str]) -> None:
    """Run a program, and end as it ended."""
    parent, report, grace = int(arguments[0]), int(arguments[1]), float(arguments[2])
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGUSR1)
    if os.getppid() != parent:
        return  # the parent is already dead
    if not arguments[3]:
        os.environ.pop("LC_CTYPE", None)
    status = _waited(_started(arguments[6:], report, arguments[4]), grace)
    _end_all()
    _tell(report, f"used {sum(os.times()[:4]):.2f}")
    _tell(report, f"peak {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss}")
    _end_as(status)


def _started(words: list[str], report: int, limits: str) -> int:
    os.set_inheritable(report, False)
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores these, which programs inherit
            signal.signal(number, signal.SIG_DFL)
        try:
            _limit(limits)
            os.execvp(words[0], words)
        except OSError as error:
            _tell(report, f"error {error.errno}")
        os._exit(127)
    return child


def _limit(limits: str) -> None:
    """Set the limits of this process and its children; keep a limit that is lower already."""
    for name, _, value in (limit.partition("=") for limit in limits.split(",") if limit):
        kind = getattr(resource, f"RLIMIT_{name}")
        _, most = resource.getrlimit(kind)
        limited = int(value) if most == resource.RLIM_INFINITY else min(int(value), most)
        resource.setrlimit(kind, (limited, limited))


def _tell(report: int, text: str) -> None:
    with contextlib.suppress(OSError):  # who runs this was killed
        os.write(report, f"{text}\n".encode())


def _waited(child: int, grace: float) -> int:
    """Return the program's exit status, or that it was asked to end."""
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
    """Reap all ended processes; return the exit status of ``child`` if it is among them."""
    status = None
    with contextlib.suppress(ChildProcessError):
        while True:
            ended, how = os.waitpid(-1, os.WNOHANG)
            if ended == 0:
                break
            status = how if ended == child else status
    return status


def _end_all() -> None:
    """Kill all descendants, in whatever session and process group they are."""
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
