"""What this machine is, and whether what was made for a target runs on it.

Nothing here is asked of ``sysconfig`` or ``platform``: to load those takes a robot longer than all that is asked.
"""

from __future__ import annotations

import contextlib
import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crosswheel.agent.manifest import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator


def about_this_machine() -> dict[str, str]:
    """Return what decides whether an environment runs here."""
    libc = os.confstr("CS_GNU_LIBC_VERSION") if "CS_GNU_LIBC_VERSION" in os.confstr_names else None
    return {
        "machine": _machine(),
        "python": ".".join(map(str, sys.version_info[:3])),
        "soabi": EXTENSION_SUFFIXES[0].strip(".").rpartition(".")[0],
        "glibc": (libc or "").rpartition(" ")[2],
    }


def image_packages() -> dict[str, str]:
    """Return the packages that this machine's own Python has, name to version."""
    short = ".".join(map(str, sys.version_info[:2]))
    return dict(_packages_in(Path(sys.prefix, "lib", f"python{short}", "site-packages")))


def processes_in(folder: Path) -> list[int]:
    """Return the processes that run what lies in a folder, or have a file in it open."""
    below = f"{folder}/"
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and _is_in(f"/proc/{name}", below)]


def require_target(target: dict[str, Any]) -> None:
    """Raise :class:`Refused` if what was made for ``target`` would not run on this machine."""
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
    if not machine["glibc"] or _numbers(machine["glibc"]) < _numbers(target["glibc"]):
        faults.append(
            f"its C library is {machine['glibc'] or 'not glibc'}, not glibc {target['glibc']} or newer"
        )
    if faults:
        raise Refused("target", f"this machine is not an {target['name']}: " + "; ".join(faults))


def _machine() -> str:
    """Return what programs are made for here: a 64-bit kernel may have 32-bit programs alone."""
    machine = os.uname().machine
    return "armv7l" if machine == "aarch64" and sys.maxsize < 2**32 else machine


def _is_in(process: str, below: str) -> bool:
    # What ends meanwhile is not there any more; files that are open are told to root, and to who runs the process.
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


def _packages_in(site: Path) -> Iterator[tuple[str, str]]:
    for info in sorted(site.glob("*.dist-info")):
        name, _, version = info.name[: -len(".dist-info")].rpartition("-")
        parts = name.lower().replace("_", "-").replace(".", "-").split("-")
        yield "-".join(filter(None, parts)), version


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]
