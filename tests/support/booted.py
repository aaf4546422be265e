"""A machine that is started by a real systemd: this one's programs and kernel, in namespaces of their own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from crosswheel.deploy.ssh import Address

_SYSTEMD = Path("/usr/lib/systemd/systemd")
_NAMESPACES = ("--mount", "--pid", "--fork", "--kill-child", "--uts", "--ipc", "--net", "--cgroup")
# As on the robot: what lies in a folder on /var runs at each boot.
_UNITS = {
    "boot.target": "[Unit]\nWants=systemd-journald.service boot-scripts.service\n",
    "boot-scripts.service": "[Service]\nType=oneshot\nExecStart=run-parts {scripts}\n",
}


@dataclass(frozen=True)
class Booted(Address):
    """The machine as a robot: the agent is started by its own Python, without ssh."""

    host: str = "booted"
    pid: int = 0

    def command(self, *words: str) -> list[str]:
        """Return the words that start the agent."""
        return [*self._enter, os.path.realpath(sys.executable), *words[1:]]

    def run(self, *words: str) -> str:
        """Run a program there; return what it prints."""
        done = subprocess.run([*self._enter, *words], capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def wait_for(self, answer: str, *words: str) -> None:
        """Run a program there again and again until it prints a line."""
        self.wait_until(lambda said: answer in said.splitlines(), *words)

    def wait_until(self, holds: Callable[[str], bool], *words: str) -> None:
        """Run a program there again and again until something holds for what it prints."""
        Retrying(
            retry=retry_if_result(lambda said: not holds(said)),
            stop=stop_after_delay(30),
            wait=wait_fixed(0.05),
        )(lambda: self.run(*words))

    @property
    def _enter(self) -> list[str]:
        return ["nsenter", "-t", str(self.pid), "-m", "-p", "-i", "-u", "-n", "-C", "--"]


@contextlib.contextmanager
def booted(folder: Path) -> Iterator[Booted]:
    """Start the machine, and have its power fail when the block ends.

    Args:
        folder: what it may write to, and keeps; programs in ``boot.d`` there run when it starts.
    """
    units = folder / "units"
    units.mkdir(exist_ok=True)
    for name, text in _UNITS.items():
        (units / name).write_text(text.format(scripts=folder / "boot.d"))
    script = Path(__file__).with_suffix(".sh")
    words = ["unshare", *_NAMESPACES, "sh", str(script), str(folder), "boot.target"]
    with (folder / "boot.log").open("a") as log:
        child = subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)
    try:
        machine = Booted(pid=_first_process(child))
        machine.wait_for("running", "systemctl", "is-system-running")
        yield machine
    finally:
        child.kill()
        child.wait()


def why_not() -> str | None:
    """Return why this machine cannot start one, or ``None`` where it can."""
    if os.geteuid() != 0:
        return "only root may start a systemd"
    if not _SYSTEMD.is_file():
        return "this machine has no systemd"
    # A hierarchy of control groups is had where its controller is not bound to the other kind.
    probe = "mount --make-rprivate / && mount -t cgroup -o memory cgroup /mnt"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", probe], capture_output=True, text=True, check=False
    )
    return (
        f"this kernel gives no control groups of the first kind: {done.stderr}" if done.returncode else None
    )


def _first_process(child: subprocess.Popen[bytes]) -> int:
    path = Path(f"/proc/{child.pid}/task/{child.pid}/children")
    found = Retrying(
        retry=retry_if_result(lambda text: not text), stop=stop_after_delay(30), wait=wait_fixed(0.01)
    )(path.read_text)
    return int(found.split()[0])
