"""Ensure programs that must come from the user's system, because no registry in use has them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from crosswheel.debian.mirrors import has_apt
from crosswheel.errors import BuildFailed, CrosswheelError, MissingToolError
from crosswheel.process import Runner

# The programs that a look-alike robot needs, and Debian's package of each.
_LOOK_ALIKE = {
    "unshare": "util-linux", "mount": "mount", "chroot": "coreutils", "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
}  # fmt: skip
_MANAGERS = {
    "apt-get": "apt-get install", "dnf": "dnf install", "pacman": "pacman -S", "zypper": "zypper install",
    "apk": "apk add",
}  # fmt: skip
_WITHOUT_ROOT = {"newuidmap": "uidmap", "newgidmap": "uidmap"}
LOOK_ALIKE_HINT = (
    "it needs a user namespace with mounts of its own: a container has to be privileged; who is not root needs ranges "
    "in /etc/subuid and /etc/subgid (usermod --add-subuids 100000-165535 --add-subgids 100000-165535 NAME); Ubuntu "
    "24.04 and later have to be told, as root: sysctl kernel.apparmor_restrict_unprivileged_userns=0."
)
_TURN = Path("/run/crosswheel.apt")  # only root may write there, so nobody else can block it


def require_programs(names: Sequence[str], runner: Runner) -> None:
    """Ensure that programs exist; as root on Debian and Ubuntu, install missing ones.

    Args:
        names: the programs; each is also the name of its Debian package.

    Raises:
        MissingToolError: one is missing and cannot be installed.
    """
    missing = [name for name in names if not is_usable(name, runner)]
    if not missing:
        return
    command = install_command(missing)
    if os.geteuid() == 0 and has_apt():
        try:
            with turn_of_apt():
                runner.run(["apt-get", "-q", "update"], timeout=600)
                runner.run(
                    ["apt-get", "-q", "-y", "--no-install-recommends", "install", *missing], timeout=900
                )
            return
        except BuildFailed as error:
            raise MissingToolError(f"{command} failed:\n{error}", hint="install them by hand.") from error
    raise MissingToolError(
        f"{' and '.join(missing)} must be installed on this machine, by its administrator",
        hint=f"as root: {command}",
    )


def install_command(packages: Iterable[str]) -> str:
    """Return the command by which an administrator of this machine installs packages."""
    manager = next(
        (words for program, words in _MANAGERS.items() if shutil.which(program)), "apt-get install"
    )
    return f"{manager} {' '.join(packages)}"


@contextlib.contextmanager
def turn_of_apt() -> Iterator[None]:
    """Hold a lock against other installations as root while the block lasts, because apt refuses to run twice."""
    with _TURN.open("a") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # excludes threads as well as processes
        yield


def is_usable(name: str, runner: Runner) -> bool:
    """Return whether a program exists and is complete: Debian's minimal perl lacks most of its library."""
    if shutil.which(name) is None:
        return False
    return name != "perl" or runner.run(["perl", "-MIPC::Cmd", "-e", "1"], check=False).returncode == 0


def administrators_path() -> str:
    """Return ``PATH`` with the folders of Debian's chroot and mount, which users' paths may lack."""
    folders = [*os.environ.get("PATH", os.defpath).split(os.pathsep), "/usr/sbin", "/sbin"]
    return os.pathsep.join(dict.fromkeys(folders))


def namespaces() -> list[str]:
    """Return the command prefix that runs a command in a user namespace with its own mounts and processes.

    Root uses one too, so that an emulator registered in it affects nobody else.
    """
    words = ["unshare", "--user", "--mount", "--pid", "--fork", "--kill-child"]
    # An ssh server sets groups, which needs more than one mapped user.
    return [*words, "--keep-caps"] if os.geteuid() == 0 else [*words, "--map-root-user", "--map-auto"]


def look_alike_fault() -> CrosswheelError | None:
    """Return why this user cannot start a look-alike robot on this machine; ``None`` if it works."""
    programs = {**_LOOK_ALIKE, **(_WITHOUT_ROOT if os.geteuid() != 0 else {})}
    path = administrators_path()
    missing = [name for name in programs if shutil.which(name, path=path) is None]
    if missing:
        packages = dict.fromkeys(programs[name] for name in missing)
        return MissingToolError(
            f"{' and '.join(missing)}, which a look-alike robot is started with, cannot be found",
            hint=f"on Debian and Ubuntu: sudo apt-get install {' '.join(packages)}",
        )
    result = Runner().run([*namespaces(), "true"], env={**os.environ, "PATH": path}, check=False)
    if result.returncode != 0:
        fault = f"a look-alike robot cannot be started by this user: {result.output.strip()}"
        return MissingToolError(fault, hint=LOOK_ALIKE_HINT)
    return None
