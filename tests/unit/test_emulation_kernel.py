"""The filter by which emulated programs see the target's kernel, in a process of this machine."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from crosswheel.sandbox import as_kernel
from crosswheel.sandbox.as_kernel import later_calls

CLOSE_RANGE, MACHINE = 436, os.uname().machine
_ASK = """
import ctypes, errno, mmap
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
def said(answer): return errno.errorcode[ctypes.get_errno()] if answer in (-1, ctypes.c_void_p(-1).value) else "done"
print(said(libc.syscall(436, 1000, 1001, 0)))
for size, protection in ((1 << 20, 3), (0xB0000000, 3), (1 << 32, 3), (1 << 32, 0)):
    print(said(libc.mmap(None, size, protection, 0x4022, -1, 0)))
"""


def answers(release: str, largest: str) -> list[str]:
    command = [sys.executable, "-ISs", as_kernel.__file__, release, largest, "--", sys.executable, "-c", _ASK]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


needs_a_filter = pytest.mark.skipif(
    MACHINE not in as_kernel.MACHINES, reason=f"no filter is known for {MACHINE}"
)


@needs_a_filter
def test_calls_that_came_later_are_unknown_and_programs_go_on() -> None:
    assert answers("4.14", "0") == ["ENOSYS", "done", "done", "done", "done"]
    assert answers("6.99", "0")[0] == "done"


@needs_a_filter
def test_what_a_32_bit_machine_has_no_addresses_for_is_refused_unless_it_is_only_reserved() -> None:
    assert answers("6.99", "b0000000") == ["done", "done", "ENOMEM", "ENOMEM", "done"]


@pytest.mark.parametrize("machine", sorted(as_kernel.MACHINES))
@pytest.mark.parametrize(
    ("release", "unknown", "known"),
    [
        ((4, 14), {424, 435, 436, 437, 439, 9999}, {0, 423}),
        ((5, 8), {436, 440, 441}, {424, 437, 438, 439}),
        ((6, 12), {463}, {436, 462}),
    ],
)
def test_each_call_came_with_its_version(
    machine: str, release: tuple[int, int], unknown: set[int], known: set[int]
) -> None:
    def is_later(number: int) -> bool:
        return any(first <= number < end for first, end in later_calls(release, machine))

    assert all(map(is_later, unknown))
    assert not any(map(is_later, known))
    rseq = as_kernel.MACHINES[machine][1][-1][0]
    assert is_later(rseq) == (release < (4, 18))
