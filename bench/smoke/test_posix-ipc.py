"""Its constants are those of the system, and names are checked."""

import posix_ipc

assert posix_ipc.O_CREX == posix_ipc.O_CREAT | posix_ipc.O_EXCL
assert posix_ipc.SEMAPHORE_VALUE_MAX >= 32767
try:
    posix_ipc.Semaphore("/no-such-semaphore")
except (posix_ipc.ExistentialError, posix_ipc.Error, OSError):
    pass
else:
    raise AssertionError("there is no such semaphore")
