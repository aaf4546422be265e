"""Describes this machine, and tells whether a target's releases run on it.

It does not use ``sysconfig`` and ``platform``: a robot takes longer to load them than to find out all else.
"""

from __future__ import annotations

import contextlib
import os
import re
import site
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crosswheel.agent.manifest import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

# In the form of today, and in that of distutils, which distributions still have: Name-1.0-py3.11.egg-info.
_INFO = re.compile(r"(.+?)-(\d[^-]*)(?:-py\d[\d.]*)?\.(?:dist|egg)-info$")


def about_this_machine() -> dict[str, str]:
    """Return the properties of this machine that decide whether an environment runs on it."""
    libc = os.confstr("CS_GNU_LIBC_VERSION") if "CS_GNU_LIBC_VERSION" in os.confstr_names else None
    return {
        "machine": _machine(),
        "python": ".".join(map(str, sys.version_info[:3])),
        "soabi": EXTENSION_SUFFIXES[0].strip(".").rpartition(".")[0],
        "glibc": (libc or "").rpartition(" ")[2],
        "system": _system(),
    }


def image_packages() -> dict[str, str]:
    """Return the versions of the packages that this machine's own Python has, by name.

    Distributions keep them in folders of their own, which only their ``site`` knows.
    """
    found: dict[str, str] = {}
    for folder in site.getsitepackages():
        for name, version in _packages_in(Path(folder)):
            found.setdefault(name, version)  # Python imports the first one on the path
    return found


def processes_in(folder: Path) -> list[int]:
    """Return the processes that run a program in a folder, or have a file in it open."""
    below = f"{folder}/"
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and _is_in(f"/proc/{name}", below)]


def require_target(target: dict[str, Any]) -> None:
    """Raise :class:`Refused` if releases for ``target`` do not run on this machine."""
    machine = about_this_machine()
    short = ".".join(machine["python"].split(".")[:2])
    faults = []
    if machine["machine"] != target["machine"]:
        faults.append(f"it is an {machine['machine']}, not an {target['machine']}")
    if target.get("provided"):
        pass  # a release brings the Python that runs it
    elif short != target["python"]:
        faults.append(f"it has Python {machine['python']}, not {target['python']}")
    elif machine["soabi"] != target["soabi"]:
        faults.append(f"its Python loads {machine['soabi']}, not {target['soabi']}")
    libc = "musl" if "musl" in target else "glibc"
    version = _musl() if libc == "musl" else machine["glibc"]
    if not version or _numbers(version) < _numbers(target[libc]):
        faults.append(f"its C library is {version or f'not {libc}'}, not {libc} {target[libc]} or newer")
    if faults:
        raise Refused("target", f"this machine is not an {target['name']}: " + "; ".join(faults))


def _musl() -> str:
    """Return the version of musl that this machine has, perhaps beside glibc; empty if it has none."""
    import subprocess  # late: few machines need it

    for loader in sorted(Path("/lib").glob("ld-musl-*.so.1")):
        # Started without a program, it tells its version, and fails.
        told = subprocess.run([loader], stderr=subprocess.PIPE, check=False).stderr
        version = re.search(rb"^Version (\d+(?:\.\d+)+)", told, re.MULTILINE)
        if version:
            return version[1].decode()
    return ""


def _system() -> str:
    """Return what the image calls itself (os-release(5)); empty if it does not say."""
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as stream:
            values = dict(line.rstrip("\n").partition("=")[::2] for line in stream if "=" in line)
            names = (values.get(name, "").strip("\"'") for name in ("PRETTY_NAME", "NAME", "VERSION_ID"))
            pretty, *parts = names
            return pretty or " ".join(filter(None, parts))
    return ""


def _machine() -> str:
    """Return the machine that programs are compiled for: a 64-bit kernel may run a 32-bit system."""
    machine = os.uname().machine
    return "armv7l" if machine == "aarch64" and sys.maxsize < 2**32 else machine


def _is_in(process: str, below: str) -> bool:
    # A process may end meanwhile; its open files are visible only to root and to the process's user.
    with contextlib.suppress(OSError), open(f"{process}/cmdline", "rb") as stream:
        if below.encode() in stream.read():
            return True
    with contextlib.suppress(OSError):
        return any(
            _link_target(f"{process}/fd/{name}").startswith(below) for name in os.listdir(f"{process}/fd")
        )
    return False


def _link_target(link: str) -> str:
    with contextlib.suppress(OSError):
        return os.readlink(link)
    return ""


def _packages_in(folder: Path) -> Iterator[tuple[str, str]]:
    for info in sorted((*folder.glob("*.dist-info"), *folder.glob("*.egg-info"))):
        named = _INFO.match(info.name)
        if named:
            parts = named[1].lower().replace("_", "-").replace(".", "-").split("-")
            yield "-".join(filter(None, parts)), named[2]


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]
