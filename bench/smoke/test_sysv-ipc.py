"""Its constants are those of the system, and a key comes from a path."""

import sysv_ipc

assert sysv_ipc.IPC_CREX == sysv_ipc.IPC_CREAT | sysv_ipc.IPC_EXCL
assert sysv_ipc.PAGE_SIZE % 4096 == 0
assert sysv_ipc.ftok("/tmp", 7, silence_warning=True) == sysv_ipc.ftok("/tmp", 7, silence_warning=True)
try:
    sysv_ipc.SharedMemory(987654321)
except (sysv_ipc.ExistentialError, sysv_ipc.Error, OSError):
    pass
else:
    raise AssertionError("there is no such memory")
