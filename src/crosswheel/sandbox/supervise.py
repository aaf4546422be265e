"""Decide on system calls that Landlock does not cover: changes of a file's mode and times.

The kernel stops a process at such a call and asks (seccomp_unotify(2)). This process performs the request on a handle
of the file that it checked, so that nothing can be exchanged in between; the original call never runs. Standard
library alone, and little of it, because a script imports this module each time (:mod:`crosswheel.sandbox.restrict`).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import select
import signal
import socket
import struct
import sys

TYPE_CHECKING = False  # to import it would take longer than all else
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn

_RECEIVE, _SEND, _IS_VALID = 0xC0502100, 0xC0182101, 0x40082102
_AT_FDCWD, _NOFOLLOW, _EMPTY_PATH = -100, 0x100, 0x1000
_SET_CHILD_SUBREAPER = 36
_LONGEST_PATH = 4096
# The forms in which times are given: two times in seconds, with nanoseconds or microseconds or without.
_FORMS = {"timespec": "qqqq", "timeval": "qqqq", "utimbuf": "qq"}
_LIBC = ctypes.CDLL(None, use_errno=True)

# By architecture: the supervised system calls, and the positions of their arguments (folder, path, value, flags).
# The last three of x86-64 are older forms of the same, which programs still call: CMake's wheel, as it installs files.
_CALLS: dict[str, dict[int, tuple[str, int | None, int | None, int, int | None]]] = {
    "x86_64": {
        90: ("mode", None, 0, 1, None), 91: ("mode", 0, None, 1, None), 268: ("mode", 0, 1, 2, None),
        452: ("mode", 0, 1, 2, 3), 280: ("timespec", 0, 1, 2, 3), 261: ("timeval", 0, 1, 2, None),
        235: ("timeval", None, 0, 1, None), 132: ("utimbuf", None, 0, 1, None),
    },
    "aarch64": {
        52: ("mode", 0, None, 1, None), 53: ("mode", 0, 1, 2, None), 452: ("mode", 0, 1, 2, 3),
        88: ("timespec", 0, 1, 2, 3),
    },
}  # fmt: skip
CALLS = frozenset(_CALLS.get(os.uname().machine, ()))


class Call:
    """A system call that blocks a process until it is answered.

    Attributes:
        process: the id of the calling thread.
        number: the number of the system call.
        arguments: its arguments, as the kernel reports them.
    """

    def __init__(self, process: int, number: int, arguments: tuple[int, ...]) -> None:
        self.process, self.number, self.arguments = process, number, arguments

    def perform(self, writable: Sequence[str]) -> None:
        """Perform the call if the file lies below one of the writable folders.

        Raises:
            OSError: the file lies elsewhere, or the call failed.
        """
        kind, folder, path, value, flags = _CALLS[os.uname().machine][self.number]
        handle = self._open(folder, path, 0 if flags is None else self.arguments[flags])
        try:
            descriptor = f"/proc/self/fd/{handle}"
            real = os.readlink(descriptor)
            if not any(real == root or real.startswith(f"{root}/") for root in writable):
                raise PermissionError(errno.EPERM, "not a file of this program")
            if kind == "mode":
                os.chmod(descriptor, self.arguments[value] & 0o777)
            else:
                self._set_times(descriptor, kind, self.arguments[value])
        finally:
            os.close(handle)

    def _open(self, folder: int | None, path: int | None, flags: int) -> int:
        """Return a handle of the file that the call names, which permits neither reading nor writing."""
        base = _AT_FDCWD if folder is None else ctypes.c_int(self.arguments[folder]).value
        at = f"/proc/{self.process}/cwd" if base == _AT_FDCWD else f"/proc/{self.process}/fd/{base}"
        name = "" if path is None or not self.arguments[path] else self._text(self.arguments[path])
        if name.startswith("/"):
            process_root = f"/proc/{self.process}/"
            at = process_root + name[len("/proc/self/") :] if name.startswith("/proc/self/") else name
        elif name:
            at = f"{at}/{name}"
        elif path is not None and self.arguments[path] and not flags & _EMPTY_PATH:
            raise FileNotFoundError(errno.ENOENT, "an empty path")
        return os.open(at, os.O_PATH | os.O_CLOEXEC | (os.O_NOFOLLOW if flags & _NOFOLLOW else 0))

    def _set_times(self, path: str, kind: str, address: int) -> None:
        """Set the times of access and of change to those at an address, a structure of that kind; 0 means now."""
        times = None
        if address:
            form = _FORMS[kind]
            numbers = struct.unpack(form, self._bytes(address, struct.calcsize(form)))
            if kind == "utimbuf":
                numbers = (numbers[0], 0, numbers[1], 0)
            elif kind == "timeval":
                if not all(0 <= number < 10**6 for number in numbers[1::2]):
                    raise OSError(errno.EINVAL, "no microseconds")
                numbers = (numbers[0], numbers[1] * 1000, numbers[2], numbers[3] * 1000)
            times = struct.pack("qqqq", *numbers)
        if _LIBC.utimensat(_AT_FDCWD, os.fsencode(path), times, 0) != 0:
            raise OSError(ctypes.get_errno(), "its times cannot be set")

    def _text(self, address: int) -> str:
        # Read page by page: the page after the text may not be mapped.
        text = b""
        while b"\0" not in text and len(text) < _LONGEST_PATH:
            text += self._bytes(address + len(text), 4096 - (address + len(text)) % 4096)
        return os.fsdecode(text.partition(b"\0")[0])

    def _bytes(self, address: int, size: int) -> bytes:
        with open(f"/proc/{self.process}/mem", "rb", buffering=0) as memory:
            memory.seek(address)
            return memory.read(size)


def supervised(command: Sequence[str], writable: Sequence[str], restrict: Callable[[], int]) -> NoReturn:
    """Run a command in a restricted child, answer its requests, and end as it ends; no descendant outlives it.

    Args:
        restrict: drops rights in the child; returns the descriptor on which the kernel asks about system calls.
    """
    _LIBC.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # orphans become children of this process
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        ours.close()
        _become(command, theirs, restrict)
    theirs.close()
    _, handles, _, _ = socket.recv_fds(ours, 1, 1)
    roots = [os.path.realpath(path) for path in writable]
    status = _answer(handles[0], child, roots) if handles else os.waitpid(child, 0)[1]
    _end_the_others()
    code = os.waitstatus_to_exitcode(status)
    if code < 0:  # a signal ended it, so end in the same way
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def _become(command: Sequence[str], parent: socket.socket, restrict: Callable[[], int]) -> NoReturn:
    try:
        listener = restrict()
        socket.send_fds(parent, [b"x"], [listener])
        os.close(listener)
        parent.close()
        os.execvp(command[0], list(command))
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error}\n")
    os._exit(127)


def _answer(listener: int, child: int, writable: Sequence[str]) -> int:
    """Answer requests until the child has ended; return its status."""
    ended = os.pidfd_open(child)
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    poll.register(ended, select.POLLIN)
    while True:
        ready = dict(poll.poll())
        if ready.get(listener, 0) & select.POLLIN:
            with contextlib.suppress(OSError):  # the caller is gone
                _answer_one(listener, writable)
        elif ended in ready:
            return os.waitpid(child, 0)[1]


def _answer_one(listener: int, writable: Sequence[str]) -> None:
    buffer = bytearray(80)
    fcntl.ioctl(listener, _RECEIVE, buffer, True)
    identifier, process, _, number, _, _, *arguments = struct.unpack("QIIiIQ6Q", buffer)
    code = 0
    try:
        call = Call(process, number, tuple(arguments))
        fcntl.ioctl(listener, _IS_VALID, struct.pack("Q", identifier))
        call.perform(writable)
    except OSError as error:
        code = -(error.errno or errno.EPERM)
    fcntl.ioctl(listener, _SEND, struct.pack("QqiI", identifier, 0, code, 0))


def _end_the_others() -> None:
    """End the processes that the child left behind; they have become children of this process."""
    while True:
        try:
            with open(f"/proc/self/task/{os.getpid()}/children") as stream:
                children = list(map(int, stream.read().split()))
        except OSError:
            children = []
        if not children:
            return
        for number in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(number, 0)
