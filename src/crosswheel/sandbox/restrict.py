"""Drop rights irrevocably, then execute another program; a script that needs the standard library alone.

    python -ISs restrict.py KIND:PATH... -- COMMAND...

Each path is ``readable``, ``listable`` or ``writable``. Landlock closes the file system except for these. seccomp
blocks the system calls that reach other processes or a network. Both need only ``no_new_privs``, and no child process
can undo either.
Sources: landlock(7), seccomp(2), capabilities(7).
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
    ANY_BIT,
    ARCHITECTURES,
    ASK,
    AT_LEAST,
    ENOSYS,
    EPERM,
    EQUAL,
    KILL,
    LOAD,
    MACHINE,
    NUMBER,
    RETURN,
    Rule,
    argument,
    assembled,
)
from crosswheel.sandbox.supervise import CALLS, supervised

_LIBC = ctypes.CDLL(None, use_errno=True)
# prctl(2)
_SET_PDEATHSIG, _CAPBSET_DROP, _SET_NO_NEW_PRIVS = 1, 24, 38
_SET_MODE_FILTER, _NEW_LISTENER = ctypes.c_uint(1), ctypes.c_uint(8)
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_SIGKILL = 9
# These numbers are the same on every architecture.
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_PATH_BENEATH = 1
_READ = 1 << 0 | 1 << 2 | 1 << 3  # execute, read files, read folders
_READ_FILE = 1 << 0 | 1 << 2
_LIST = 1 << 3
_WRITE_FILE = 1 << 1
_FILE_RIGHTS = _READ_FILE | _WRITE_FILE | 1 << 14 | 1 << 15
# The number of rights in each version of Landlock; REFER, TRUNCATE and IOCTL_DEV were added one by one.
_KNOWN_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
_SCOPE_ALL = 0b11  # abstract unix sockets, signals

# By architecture: the numbers of the blocked system calls, and those of socket and socketpair.
_REFUSED = {
    "x86_64": ({
        "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "io_uring_setup": 425, "io_uring_enter": 426,
        "io_uring_register": 427, "setns": 308, "unshare": 272, "mount": 165, "umount2": 166, "pivot_root": 155,
        "chroot": 161, "keyctl": 250, "add_key": 248, "request_key": 249, "bpf": 321, "perf_event_open": 298,
        "userfaultfd": 323, "open_by_handle_at": 304, "kexec_load": 246, "pidfd_getfd": 438, "move_mount": 429,
        "open_tree": 428, "fsopen": 430, "mount_setattr": 442, "syslog": 103, "chown": 92, "fchown": 93, "lchown": 94,
        "fchownat": 260, "setxattr": 188, "lsetxattr": 189, "fsetxattr": 190, "removexattr": 197, "lremovexattr": 198,
        "fremovexattr": 199, "setxattrat": 463, "removexattrat": 466,
    }, 41, 53),
    "aarch64": ({
        "ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271, "io_uring_setup": 425, "io_uring_enter": 426,
        "io_uring_register": 427, "setns": 268, "unshare": 97, "mount": 40, "umount2": 39, "pivot_root": 41,
        "chroot": 51, "keyctl": 219, "add_key": 217, "request_key": 218, "bpf": 280, "perf_event_open": 241,
        "userfaultfd": 282, "open_by_handle_at": 265, "kexec_load": 104, "pidfd_getfd": 438, "move_mount": 429,
        "open_tree": 428, "fsopen": 430, "mount_setattr": 442, "syslog": 116, "fchown": 55, "fchownat": 54,
        "setxattr": 5, "lsetxattr": 6, "fsetxattr": 7, "removexattr": 14, "lremovexattr": 15,
        "fremovexattr": 16, "setxattrat": 463, "removexattrat": 466,
    }, 198, 199),
}  # fmt: skip
MACHINES = frozenset(_REFUSED)
_CLONE, _CLONE3 = {"x86_64": 56, "aarch64": 220}, 435
_NEW_NAMESPACES = 0x7E020080  # CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}, CLONE_NEWTIME
_AF_UNIX = 1
# They change how another process runs: sched_set{param,scheduler,affinity,attr}; setpriority, ioprio_set.
_OF_OTHERS = {"x86_64": ((142, 144, 203, 314), (141, 251)), "aarch64": ((118, 119, 122, 274), (140, 30))}


def main() -> None:
    """Drop rights, then become the command or its supervisor."""
    end = sys.argv.index("--")
    policy: dict[str, list[str]] = {"readable": [], "listable": [], "writable": []}
    for word in sys.argv[1:end]:
        kind, _, path = word.partition(":")
        policy[kind].append(path)
    _prctl(_SET_PDEATHSIG, _SIGKILL)
    supervised(sys.argv[end + 1 :], policy["writable"], lambda: restrict(**policy))


def restrict(readable: list[str], listable: list[str], writable: list[str]) -> int:
    """Drop all rights except those to some files; return the descriptor on which the kernel asks about system calls."""
    _prctl(_SET_PDEATHSIG, _SIGKILL)
    _prctl(_SET_NO_NEW_PRIVS, 1)
    drop_capabilities()
    restrict_files(readable, listable, writable)
    return refuse_system_calls()


def landlock_version() -> int:
    """Return the version of Landlock in the kernel; 0 if it has none."""
    return max(0, int(_LIBC.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(1))))


def restrict_files(readable: list[str], listable: list[str], writable: list[str]) -> None:
    """Close the file system except for the named paths."""
    version = landlock_version()
    if not version:
        raise SystemExit("the kernel has no Landlock")
    every = (1 << _KNOWN_RIGHTS.get(version, 16)) - 1
    attributes = struct.pack("QQQ", every, 0b11 if version >= 4 else 0, _SCOPE_ALL if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = _checked(_LIBC.syscall(_LANDLOCK_CREATE, attributes, ctypes.c_size_t(size), ctypes.c_uint32(0)))
    for paths, rights in ((readable, _READ & every), (listable, _LIST), (writable, every)):
        for path in paths:
            _allow(ruleset, path, rights)
    _checked(_LIBC.syscall(_LANDLOCK_RESTRICT, ctypes.c_int(ruleset), ctypes.c_uint32(0)))
    os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    if not os.path.isdir(path):
        rights &= _FILE_RIGHTS
    rule = struct.pack("=Qi", rights, handle)
    _checked(
        _LIBC.syscall(
            _LANDLOCK_ADD, ctypes.c_int(ruleset), ctypes.c_int(_PATH_BENEATH), rule, ctypes.c_uint32(0)
        )
    )
    os.close(handle)


def refuse_system_calls() -> int:
    """Block system calls that reach a network or other processes; return the descriptor on which the kernel asks."""
    machine = os.uname().machine
    if machine not in _REFUSED:
        raise SystemExit(f"which system calls to refuse is not known for {machine}")
    code = assembled(_filter(machine))
    buffer = ctypes.create_string_buffer(code)
    program = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(buffer))
    return _checked(_LIBC.syscall(_SECCOMP[machine], _SET_MODE_FILTER, _NEW_LISTENER, program))


def _filter(machine: str) -> list[Rule]:
    """Return the filter's rules."""
    refused, socket, socketpair = _REFUSED[machine]
    rules = [(LOAD, 0, 0, MACHINE), (EQUAL, 1, 0, ARCHITECTURES[machine]), (RETURN, 0, 0, KILL)]
    rules += [(LOAD, 0, 0, NUMBER)]
    if machine == "x86_64":  # the x32 variants have separate numbers
        rules += [(AT_LEAST, 0, 1, 0x40000000), (RETURN, 0, 0, KILL)]
    answers = dict.fromkeys((*refused.values(), socket), EPERM)
    answers.update(dict.fromkeys(CALLS, ASK))
    answers[_CLONE3] = ENOSYS  # a filter cannot read its arguments, so libraries fall back to clone
    for number, answer in answers.items():
        rules += [(EQUAL, 0, 1, number), (RETURN, 0, 0, answer)]
    for numbers, position in zip(_OF_OTHERS[machine], (0, 1)):
        for number in numbers:  # 0 means the process itself
            rules += [(EQUAL, 0, 4, number), (LOAD, 0, 0, argument(position))]
            rules += [(EQUAL, 1, 0, 0), (RETURN, 0, 0, EPERM), (RETURN, 0, 0, ALLOW)]
    rules += [(EQUAL, 0, 4, socketpair), (LOAD, 0, 0, argument(0))]
    rules += [(EQUAL, 1, 0, _AF_UNIX), (RETURN, 0, 0, EPERM), (RETURN, 0, 0, ALLOW)]
    rules += [(EQUAL, 0, 3, _CLONE[machine]), (LOAD, 0, 0, argument(0))]
    rules += [(ANY_BIT, 0, 1, _NEW_NAMESPACES), (RETURN, 0, 0, EPERM)]
    return [*rules, (RETURN, 0, 0, ALLOW)]


def drop_capabilities() -> None:
    """Drop root's privileges over other users; it remains the owner of its files."""
    for capability in range(64):
        if _LIBC.prctl(_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break
    header, none = struct.pack("Ii", 0x20080522, 0), bytes(24)
    _checked(_LIBC.capset(header, none))


def _prctl(option: int, value: object, argument: object = 0) -> None:
    _checked(_LIBC.prctl(option, value, argument, 0, 0))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


if __name__ == "__main__":
    main()
