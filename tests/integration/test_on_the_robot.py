"""`check --on` and `build --prove-on`: a robot itself imports the wheels, and nothing is left on it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from crosswheel.process import Runner
from crosswheel.simulator.look_alike import ALIAS, Simulation, running
from support import look_alike
from support.command_line import CommandLine, command_line
from support.wheels import make_wheel

# What only the robot has: its kernel's name for the machine, and its own read-only image.
THERE = (
    b"import os, platform\nassert platform.machine() == 'armv7l'\nassert os.path.isfile('/etc/pip.conf')\n"
)
NOT_THERE = b"import os\nif os.path.isdir('/var/home'):\n    raise RuntimeError('this robot refuses it')\n"
# Its files that may be written, and its processes; the one that asks is not told.
LEFT = "find /tmp /run /var | sort; cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\000' '\\n' | grep -c 'python[3]'"


@pytest.fixture(scope="module")
def robot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulation]:
    folder = tmp_path_factory.mktemp("robot")
    image = look_alike.image(folder)
    with running(image, folder, Runner(log=folder / "commands.txt"), var_size="64m") as simulation:
        yield simulation


@pytest.fixture
def line(tmp_path: Path) -> Iterator[CommandLine]:
    with command_line(tmp_path) as line:
        yield line


def left_on(robot: Simulation) -> str:
    return look_alike.ssh(robot, LEFT).stdout


def test_wheels_are_checked_on_the_robot_itself_and_nothing_is_left_there(
    robot: Simulation, line: CommandLine
) -> None:
    before = left_on(robot)
    on = ("--on", ALIAS, "--ssh-config", str(robot.ssh_config))
    good = make_wheel(line.folder, "good", "1.0", {"good.py": THERE})
    done = line.run("check", str(good), *on)
    assert done.returncode == 0, done.output
    assert f"1 wheel without fault for Opentrons OT-2; 1 module imported, on {ALIAS} itself" in done.words
    bad = make_wheel(line.folder, "bad", "1.0", {"bad.py": NOT_THERE})
    assert line.run("check", str(bad), "--run").returncode == 0  # under emulation it has no fault
    refused = line.run("check", str(good), str(bad), *on)
    assert refused.returncode == 1, refused.output
    assert "this robot refuses it" in refused.words
    assert left_on(robot) == before


def test_a_build_is_proven_on_the_robot_itself_and_nothing_is_left_there(
    robot: Simulation, line: CommandLine
) -> None:
    before = left_on(robot)
    line.offer_wheel("good", files={"good.py": THERE.replace(b"assert os", b"os")})
    words = ("build", "good==1.0", "--build-type", "packages-only")
    done = line.run(*words, "--prove-on", ALIAS, "--ssh-config", str(robot.ssh_config))
    assert done.returncode == 0, done.output
    (proof,) = (line.folder / "dist").rglob("*.proof.json")
    machine = json.loads(proof.read_text())["on_machine"]
    assert (machine["imported"], machine["python"]) == (["good"], "3.10.8")
    assert left_on(robot) == before
