"""A running machine is learned over ssh: banners, dropped lines and updates of its image are coped with."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from crosswheel import targets
from crosswheel.process import Runner
from crosswheel.simulator.look_alike import ALIAS, Simulation, running
from support import look_alike

_CROSSWHEEL = Path(sys.executable).with_name("crosswheel")
# What a login prints comes before all else.
_SSH = """#!/bin/sh
echo "Welcome to $HOSTNAME: 3 updates can be applied"
exec {ssh} "$@"
"""
# The line to the machine; the first one is cut after so many bytes.
_LINE = """
import os, pathlib, socket, sys, threading
left = int(sys.argv[2])
try:
    pathlib.Path(__file__ + ".cut").mkdir()
except FileExistsError:
    left = 1 << 60
line = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
def send():
    while data := os.read(0, 65536):
        line.sendall(data)
threading.Thread(target=send, daemon=True).start()
while left > 0 and (data := line.recv(65536)):
    os.write(1, data)
    left -= len(data)
os._exit(0)
"""


@dataclass(frozen=True)
class Bench:
    """A running look-alike, and a folder to learn it in."""

    simulation: Simulation
    folder: Path

    def crosswheel(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of crosswheel that asks the machine."""
        variables = {
            "PATH": f"{self.folder}:{os.environ['PATH']}",
            "CROSSWHEEL_CACHE": str(self.folder / "cache"),  # with nothing of the machine in it
        }
        return subprocess.run(
            [_CROSSWHEEL, *words, "--robot", ALIAS, "--ssh-config", self.folder / "cut_config"],
            cwd=self.folder,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("bench")
    image = look_alike.image(folder)
    wrapper = folder / "ssh"
    wrapper.write_text(_SSH.format(ssh=shutil.which("ssh")))
    wrapper.chmod(0o755)
    with running(image, folder, Runner(log=folder / "commands.txt"), var_size="8m") as simulation:
        (folder / "line.py").write_text(_LINE)
        proxy = f"ProxyCommand {sys.executable} {folder / 'line.py'} {simulation.port} 20000000"
        (folder / "cut_config").write_text(simulation.ssh_config.read_text() + f"  {proxy}\n")
        yield Bench(simulation, folder)


def test_a_line_that_drops_and_a_login_that_talks_do_not_keep_it_from_being_learned(bench: Bench) -> None:
    def files() -> str:
        return look_alike.ssh(bench.simulation, "find /tmp /run /var -type f | sort").stdout

    before = files()
    done = bench.crosswheel("target", "learn", "robo")
    assert done.returncode == 0, done.stderr
    assert (bench.folder / "line.py.cut").is_dir()  # it was cut
    robo, ot2 = targets.load("robo", bench.folder / "targets"), targets.load("ot2")
    assert robo.python.version == ot2.python.version
    assert robo.python.soabi == ot2.python.soabi
    assert robo.abi.oldest_glibc == "2.17"
    # What its pip takes is what its own says, and not what its C library would take.
    assert list(map(str, robo.tags)) == [tag for tag in map(str, ot2.tags) if tag != "cp310-none-any"]
    assert robo.robot
    assert ot2.robot
    assert (robo.robot.store, robo.robot.bundle) == (ot2.robot.store, ot2.robot.bundle)
    assert {"numpy", "pip", "pydantic"} <= set(robo.image.packages)
    assert "# a guess" not in (bench.folder / "targets" / "robo.toml").read_text().split("[toolchain]")[0]
    assert files() == before
    again = bench.crosswheel("target", "check", "robo")
    assert (again.returncode, again.stdout) == (0, ""), again.stderr


def test_facts_alone_are_written_without_a_userland(bench: Bench) -> None:
    done = bench.crosswheel("target", "learn", "facts", "--facts-only")
    assert done.returncode == 0, done.stderr
    facts = targets.load("facts", bench.folder / "targets")
    assert facts.userland is None
    assert facts.abi.glibcxx == "3.4.30"
    assert {"libc.so.6", "libstdc++.so.6", "libz.so.1"} <= set(facts.image.libraries)
