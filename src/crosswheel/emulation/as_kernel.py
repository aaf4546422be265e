"""Execute a program under a filter that simulates an older kernel: newer system calls fail with ENOSYS.

Run this script before the emulator, which passes on its program's system calls::

    python -ISs as_kernel.py RELEASE LARGEST-MAPPING -- PROGRAM ARGUMENT...

It needs no privileges (seccomp(2)), and all descendants inherit the filter. A mapping larger than
LARGEST-MAPPING (hexadecimal; 0 for any) fails, unless it only reserves address space.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

# The first system call number that each version of Linux added; its range ends at the next line's number. From 424
# (Linux 5.1) on, numbers are the same on all architectures.
SINCE = (
    (424, (5, 1)), (428, (5, 2)), (434, (5, 3)), (436, (5, 9)), (437, (5, 6)), (439, (5, 8)), (440, (5, 10)),
    (441, (5, 11)), (442, (5, 12)), (443, (5, 14)), (444, (5, 13)), (447, (5, 14)), (448, (5, 15)), (449, (5, 16)),
    (450, (5, 17)), (451, (6, 5)), (452, (6, 6)), (454, (6, 7)), (457, (6, 8)), (462, (6, 10)), (463, (6, 13)),
)  # fmt: skip
_END = 0x40000000  # the x32 ABI's numbers begin here
# By os.uname().machine: the kernel's identifier of the call convention, and the numbers of mmap and of the calls added
# between 4.11 and 5.1: statx, io_pgetevents, rseq.
MACHINES = {
    "x86_64": (0xC000003E, 9, ((332, (4, 11)), (333, (4, 18)), (334, (4, 18)))),
    "aarch64": (0xC00000B7, 222, ((291, (4, 11)), (292, (4, 18)), (293, (4, 18)))),
}
# Classic BPF instructions, and offsets in the kernel's struct seccomp_data (little-endian).
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER, _MACHINE, _LENGTH, _PROTECTION = 0, 4, 24, 32
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_ENOMEM, _ENOSYS = 12, 38
_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2


def later_calls(release: tuple[int, ...], machine: str) -> list[tuple[int, int]]:
    """Return the number ranges, ends excluded, of the system calls added after a version of Linux."""
    older = [(number, number + 1) for number, since in MACHINES[machine][2] if since > release]
    ends = [first for first, _ in SINCE[1:]] + [_END]
    return older + [(first, end) for (first, since), end in zip(SINCE, ends) if since > release]


def program(release: tuple[int, ...], largest: int, machine: str) -> bytes:
    """Return the filter in the kernel's format: classic BPF."""
    architecture, mmap, _ = MACHINES[machine]
    steps = [
        (_LOAD, 0, 0, _MACHINE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _ALLOW),
        (_LOAD, 0, 0, _NUMBER),
    ]
    for first, end in later_calls(release, machine):
        steps += [(_AT_LEAST, 0, 2, first), (_AT_LEAST, 1, 0, end), (_RETURN, 0, 0, _ERROR | _ENOSYS)]
    if largest:
        steps += [(_EQUAL, 0, 7, mmap), (_LOAD, 0, 0, _PROTECTION), (_EQUAL, 5, 0, 0)]
        steps += [(_LOAD, 0, 0, _LENGTH + 4), (_AT_LEAST, 2, 0, 1), (_LOAD, 0, 0, _LENGTH)]
        steps += [(_AT_LEAST, 0, 1, largest), (_RETURN, 0, 0, _ERROR | _ENOMEM)]
    steps.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("<HBBI", *step) for step in steps)


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
