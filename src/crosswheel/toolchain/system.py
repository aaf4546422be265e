"""Programs that have to come from the user's system, because no registry that we use has them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from crosswheel.errors import BuildFailed, MissingToolError
from crosswheel.process import Runner

_TURN = Path("/run/crosswheel.apt")  # only root may write there, and so nobody else can be in the way


def require_programs(names: Sequence[str], runner: Runner) -> None:
    """Make sure that programs are there; as root on Debian and Ubuntu, install what is missing.

    Args:
        names: of programs; each is also the name of Debian's package of it.

    Raises:
        MissingToolError: one is missing and cannot be installed.
    """
    missing = [name for name in names if not is_usable(name, runner)]
    if not missing:
        return
    command = f"apt-get install {' '.join(missing)}"
    if os.geteuid() == 0 and shutil.which("apt-get"):
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
        hint=f"on Debian and Ubuntu: sudo {command}",
    )


@contextlib.contextmanager
def turn_of_apt() -> Iterator[None]:
    """Keep others that want to install something as root waiting while the block lasts: apt would refuse to begin."""
    with _TURN.open("a") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # keeps threads apart as well as processes
        yield


def is_usable(name: str, runner: Runner) -> bool:
    """Tell whether a program is there and whole: Debian's minimal perl lacks most of its library."""
    if shutil.which(name) is None:
        return False
    return name != "perl" or runner.run(["perl", "-MIPC::Cmd", "-e", "1"], check=False).returncode == 0
