"""Write filters of system calls for the kernel: classic BPF for seccomp(2).

Standard library alone, because scripts import this module (:mod:`crosswheel.sandbox.restrict`,
:mod:`crosswheel.sandbox.as_kernel`).
"""

from __future__ import annotations

import errno
import struct

TYPE_CHECKING = False  # to import it would take longer than all else
if TYPE_CHECKING:
    from collections.abc import Iterable

Rule = tuple[int, int, int, int]
"""An opcode, the number of rules to skip if it is true and if it is false, and a value."""
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, MACHINE = 0, 4
"""Where the kernel's ``struct seccomp_data`` has the number of a call and its architecture."""
ALLOW, KILL, ASK = 0x7FFF0000, 0x80000000, 0x7FC00000
EPERM, ENOSYS, ENOMEM = (0x00050000 | number for number in (errno.EPERM, errno.ENOSYS, errno.ENOMEM))
"""What a filter answers; the last three fail with an error."""
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""The kernel's identifiers of call conventions, by :func:`os.uname`'s machine."""


def argument(number: int) -> int:
    """Return where an argument of a call lies, its lower half; the upper one is 4 bytes on (little-endian)."""
    return 16 + 8 * number


def assembled(rules: Iterable[Rule]) -> bytes:
    """Return a filter in the kernel's format: 8 bytes for each rule."""
    return b"".join(struct.pack("=HBBI", *rule) for rule in rules)
