"""Execute a program under a filter that simulates an older kernel: newer system calls fail with ENOSYS.

Run this script before the emulator, which passes on its program's system calls, or before a program that needs none::

    python -ISs as_kernel.py RELEASE LARGEST-MAPPING -- PROGRAM ARGUMENT...

It needs no privileges (seccomp(2)), and all descendants inherit the filter. A mapping larger than
LARGEST-MAPPING (hexadecimal; 0 for any) fails, unless it only reserves address space.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

sys.path.insert(
    0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
)  # isolated, as it is

from crosswheel.sandbox.filters import (
    ALLOW,
    ARCHITECTURES,
    AT_LEAST,
    ENOMEM,
    ENOSYS,
    EQUAL,
    LOAD,
    MACHINE,
    NUMBER,
    RETURN,
    Rule,
    argument,
    assembled,
)

# The first system call number that each version of Linux added; its range ends at the next line's number. From 424
# (Linux 5.1) on, numbers are the same on all architectures.
SINCE = (
    (424, (5, 1)), (428, (5, 2)), (434, (5, 3)), (436, (5, 9)), (437, (5, 6)), (439, (5, 8)), (440, (5, 10)),
    (441, (5, 11)), (442, (5, 12)), (443, (5, 14)), (444, (5, 13)), (447, (5, 14)), (448, (5, 15)), (449, (5, 16)),
    (450, (5, 17)), (451, (6, 5)), (452, (6, 6)), (454, (6, 7)), (457, (6, 8)), (462, (6, 10)), (463, (6, 13)),
)  # fmt: skip
_END = 0x40000000  # the x32 ABI's numbers begin here
# By os.uname().machine: the numbers of mmap and of the calls added between 4.11 and 5.1: statx, io_pgetevents, rseq.
MACHINES = {
    "x86_64": (9, ((332, (4, 11)), (333, (4, 18)), (334, (4, 18)))),
    "aarch64": (222, ((291, (4, 11)), (292, (4, 18)), (293, (4, 18)))),
}
# By the same, of the 32-bit programs that such a CPU may run (i386, ARM EABI): the kernel's identifier of their call
# convention, and the ranges, ends excluded, of their calls added before 424.
NARROW = {
    "x86_64": (
        0x40000003,
        ((383, 384, (4, 11)), (384, 385, (4, 12)), (385, 387, (4, 18)), (393, 424, (5, 1))),
    ),
    "aarch64": (0x40000028, ((397, 398, (4, 11)), (398, 400, (4, 18)), (400, 424, (5, 1)))),
}
_LENGTH, _PROTECTION = argument(1), argument(2)  # of mmap
_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2


def later_calls(release: tuple[int, ...], machine: str) -> list[tuple[int, int]]:
    """Return the number ranges, ends excluded, of the system calls added after a version of Linux."""
    older = [(number, number + 1) for number, since in MACHINES[machine][1] if since > release]
    return [*older, *_common(release)]


def later_narrow_calls(release: tuple[int, ...], machine: str) -> list[tuple[int, int]]:
    """Return the same for the 32-bit programs that a machine may run."""
    older = [(first, end) for first, end, since in NARROW[machine][1] if since > release]
    return [*older, *_common(release)]


def _common(release: tuple[int, ...]) -> list[tuple[int, int]]:
    ends = [first for first, _ in SINCE[1:]] + [_END]
    return [(first, end) for (first, since), end in zip(SINCE, ends) if since > release]


def program(release: tuple[int, ...], largest: int, machine: str) -> bytes:
    """Return the filter in the kernel's format: classic BPF."""
    mmap, _ = MACHINES[machine]
    narrow = [(LOAD, 0, 0, NUMBER), *_unknown(later_narrow_calls(release, machine)), (RETURN, 0, 0, ALLOW)]
    rules = [
        (LOAD, 0, 0, MACHINE),
        (EQUAL, 0, len(narrow), NARROW[machine][0]),
        *narrow,
        (EQUAL, 1, 0, ARCHITECTURES[machine]),
        (RETURN, 0, 0, ALLOW),
        (LOAD, 0, 0, NUMBER),
        *_unknown(later_calls(release, machine)),
    ]
    if largest:
        rules += [(EQUAL, 0, 7, mmap), (LOAD, 0, 0, _PROTECTION), (EQUAL, 5, 0, 0)]
        rules += [(LOAD, 0, 0, _LENGTH + 4), (AT_LEAST, 2, 0, 1), (LOAD, 0, 0, _LENGTH)]
        rules += [(AT_LEAST, 0, 1, largest), (RETURN, 0, 0, ENOMEM)]
    return assembled([*rules, (RETURN, 0, 0, ALLOW)])


def _unknown(ranges: list[tuple[int, int]]) -> list[Rule]:
    """Return the rules by which the calls in number ranges do not exist."""
    return [
        rule
        for first, end in ranges
        for rule in ((AT_LEAST, 0, 2, first), (AT_LEAST, 1, 0, end), (RETURN, 0, 0, ENOSYS))
    ]


def install(code: bytes) -> None:
    """Apply the filter to this process irrevocably.

    Raises:
        OSError: the kernel refused it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    instructions = ctypes.create_string_buffer(code, len(code))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(code) // 8, ctypes.addressof(instructions)))
    calls = ((_NO_NEW_PRIVILEGES, 1, 0), (_SECCOMP, _FILTER, ctypes.addressof(program)))
    for option, value, pointer in calls:
        if libc.prctl(option, ctypes.c_ulong(value), ctypes.c_void_p(pointer), 0, 0):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def main(words: list[str]) -> None:
    """Install the filter, then become the program."""
    release, largest, _, *command = words
    numbers = tuple(map(int, release.split(".")[:2]))
    install(program(numbers, int(largest, 16), os.uname().machine))
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
