"""Learn a machine from its root file system, and write its target's file."""

from __future__ import annotations

import configparser
import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timezone
from pathlib import Path

from crosswheel import targets
from crosswheel.errors import TargetError
from crosswheel.files import write_text
from crosswheel.learning.description import Known, Learned, description
from crosswheel.learning.facts import library_facts
from crosswheel.learning.python_facts import emulated_facts
from crosswheel.learning.selection import take
from crosswheel.learning.services import services_of
from crosswheel.process import Runner
from crosswheel.settings import Settings
from crosswheel.targets import Robot, Target
from crosswheel.userlands import Userland, UserlandStore

_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
_OF_DEBIAN = ("debian", "raspbian")
_PIP_CONFIGURATIONS = ("/etc/pip.conf", "/etc/xdg/pip/pip.conf")


@dataclass(frozen=True)
class Named:
    """What the user says of a machine: its names, of which a missing title is derived, and the Python to send there.

    ``provided`` is a minor version, for a machine without a Python of its own.
    """

    name: str
    title: str | None = None
    provided: str | None = None


def learn_root(
    named: Named, root: Path, settings: Settings, runner: Runner, tell: Callable[[str], None]
) -> Learned:
    """Learn a machine from its root file system, and keep its userland.

    Args:
        root: a folder, a tar archive, or an image of SquashFS or ext4.
        tell: receives progress messages.

    Raises:
        UsageError: there is no such root, or the name is invalid.
        TargetError: crosswheel cannot build for such a machine, such as one without Python.
        IntegrityError: the root is incomplete or damaged.
        MissingToolError, NetworkError: the emulator or the program that reads the image is not available.
    """
    # Imported here: to learn a running machine takes no emulator, and no programs that read images.
    from crosswheel.emulation.learned import emulated_userland
    from crosswheel.learning.roots import opened_root

    python, remarks = None, list[str]()
    with opened_root(root, settings, runner) as source:
        userland, selection = take(source, UserlandStore(settings.cache), tell)
        require_python(selection.python, named, str(root))
        tell("reading its libraries")
        libraries = library_facts(userland, selection, str(root))
        if selection.python:
            tools = libraries.kind.tools
            emulator = emulated_userland(
                userland, selection.python, tools.qemu, tools.qemu_cpu, settings, runner
            )
            with services_of(source, tell) as services:
                tell("asking its Python, under emulation")
                python = emulated_facts(emulator, services, runner, str(root))
            remarks += [f"not known is what its services import: {services.fault}"] if services.fault else []
    kernel = Known(libraries.oldest_kernel, "a guess: the oldest that its C library runs on")
    return Learned(
        name=named.name,
        title=named.title or system_of(userland) or named.name,
        system=system_of(userland),
        suite=suite_of(userland),
        libraries=libraries,
        machine=Known(libraries.kind.names.machine, "a guess: the least that runs its C library"),
        python=python,
        provided=named.provided,
        kernel=Known(selection.kernel) if selection.kernel else kernel,
        page_bytes=Known(4096, "a guess: a running machine tells (getconf PAGESIZE)"),
        robot=robot_guess(userland, selection.python),
        python_path=selection.python or "",
        userland=userland.digest,
        day=today(),
        remarks=tuple(remarks),
    )


def require_python(python: str | None, named: Named, title: str) -> None:
    """Raise unless a machine has either a Python of its own, or one that is sent there.

    Raises:
        TargetError: it has neither, or both.
    """
    if python is None and named.provided is None:
        raise TargetError(
            f"{title} has no Python 3 in /usr/local/bin, /usr/bin, /bin or /opt",
            hint="wheels are for a Python: say --python 3.13, and one is built and sent there; or install one in the "
            "image.",
        )
    if python and named.provided:
        raise TargetError(
            f"{title} has a Python of its own, {python}, and --python is for a machine without one",
            hint=f"learn it without --python; then say `--target {named.name} --python {named.provided}` to send one.",
        )


def robot_guess(userland: Userland, python: str | None) -> Robot:
    """Guess how programs are kept on a machine, from its image's configuration of pip."""
    text = next((_read(userland, path) for path in _PIP_CONFIGURATIONS if userland.has(path)), "")
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:  # pip would reject it, too
        text = ""
    base = parser.get("install", "root", fallback="").rstrip("/")
    prefix = posixpath.dirname(posixpath.dirname(python)) if python else "/usr"
    if re.fullmatch(r"/[A-Za-z0-9._/-]+", base):
        return Robot(
            store=f"{base}/crosswheel",
            programs=f"{base}/usr/bin",
            prefix=prefix,
            pip_config=text,
            bundle=True,
        )
    return Robot(store="/opt/crosswheel", programs="/usr/local/bin", prefix=prefix, pip_config=text)


def write_target(learned: Learned, folder: Path, *, replace: bool) -> tuple[Path, Target]:
    """Write a target's file; never replace the file of a different machine with the same name.

    Args:
        folder: the folder of target files.
        replace: whether a different machine's file may be replaced.

    Raises:
        TargetError: a different machine's file has the name.
    """
    path = folder / f"{learned.name}.toml"
    text, target = description(path.name, learned)
    if path.is_file() and not replace:
        require_same(targets.load(str(path)), target, path)
    write_text(path, text)
    return path, target


def require_same(before: Target, after: Target, path: Path) -> None:
    """Raise :class:`TargetError` unless two descriptions may be of one machine, before and after an update."""
    fault = None
    if before.userland is None:
        fault = "it was written by hand"
    elif (before.abi.elf_machine, before.multiarch) != (after.abi.elf_machine, after.multiarch):
        fault = f"it is {before.multiarch}, and this one is {after.multiarch}"
    elif after.userland and _first(before.userland.system) != _first(after.userland.system):
        fault = f"its image is {before.userland.system}, and this one's is {after.userland.system}"
    if fault:
        raise TargetError(
            f"{path} describes another machine: {fault}",
            hint="choose another name; or say --replace, and this machine takes its place.",
        )


def require_name(name: str) -> None:
    """Raise :class:`TargetError` if the name is not valid for a target."""
    if not _NAME.fullmatch(name):
        raise TargetError(
            f"{name!r} is no name for a target",
            hint="write lower-case letters, digits and hyphens, such as bench64.",
        )


def today() -> date:
    """Return the current day in UTC."""
    return datetime.now(timezone.utc).date()


def system_of(userland: Userland) -> str:
    """Return the name of a machine's system; empty if its image states none."""
    values = _release(userland)
    return values.get("PRETTY_NAME") or " ".join(filter(None, (values.get("NAME"), values.get("VERSION_ID"))))


def suite_of(userland: Userland) -> str:
    """Return Debian's name of its release, such as ``bookworm``, if a machine's packages are Debian's; else nothing."""
    values = _release(userland)
    return values.get("VERSION_CODENAME", "") if values.get("ID") in _OF_DEBIAN else ""


def _release(userland: Userland) -> dict[str, str]:
    """Return what an image says of itself (os-release(5))."""
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        if userland.has(path):
            return dict(re.findall(r"^(\w+)=[\"']?([^\"'\n]*)", _read(userland, path), re.MULTILINE))
    return {}


def _first(text: str) -> str:
    return text.partition(" ")[0]


def _read(userland: Userland, path: str) -> str:
    return userland.path(path).read_text(errors="replace")
