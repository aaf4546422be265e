"""The documented way with pip alone: on the look-alike robot with its image's packages, from the main job's index."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from crosswheel.process import Runner
from crosswheel.simulator.look_alike import Simulation, running
from support import look_alike
from support.prefect_server import ask
from support.static_server import StaticServer

_FLOW = Path(__file__).with_name("robot_flow.py")
_SITE = "/usr/lib/python3.10/site-packages"
# What Python finds on the robot, outside of any environment.
_FOUND = "import importlib.metadata as m; [print(d.name, d.version) for d in m.distributions()]"


@dataclass(frozen=True)
class Installed:
    """A robot on which the documented command was typed."""

    simulation: Simulation
    before: list[str]

    def ssh(self, command: str) -> str:
        """Run a command as a login does; return what it prints."""
        done = look_alike.ssh(self.simulation, command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def found(self) -> list[str]:
        """The packages that the robot's own Python finds."""
        return sorted(self.ssh(f"python3 -c '{_FOUND}'").splitlines())


@pytest.fixture(scope="module")
def installed(index: StaticServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    folder = tmp_path_factory.mktemp("robot-sim")
    image = look_alike.image(folder)
    before = look_alike.files_of(image.root)
    with running(image, folder, Runner(log=folder / "commands.txt")) as simulation:
        robot = Installed(simulation, Installed(simulation, []).found)
        robot.ssh(_documented_command(index))
        yield robot
    assert look_alike.files_of(image.root) == before


def _documented_command(index: StaticServer) -> str:
    """Return the command that README gives, with the address of the index that is served here."""
    text = (Path(__file__).parents[2] / "README.md").read_text()
    (command,) = re.findall(r"^pip install prefect .*$", text, re.MULTILINE)
    host = re.search(r"http://([\d.:]+)/", command)
    assert host is not None
    given = command.replace(host[1], index.url.removeprefix("http://"))
    return str(given.replace(host[1].partition(":")[0], "127.0.0.1"))


def test_prefect_tells_its_version(installed: Installed) -> None:
    said = installed.ssh("prefect version").splitlines()
    fields = {key: value.strip() for key, colon, value in (line.partition(":") for line in said) if colon}
    assert fields["Version"] == "3.3.4"
    assert (fields["Python version"], fields["OS/Arch"]) == ("3.10.8", "linux/armv7l")


def test_a_prefect_server_sees_the_flow_completed(installed: Installed, prefect_api: str) -> None:
    before = {run["id"] for run in _flow_runs(prefect_api)}
    look_alike.ssh(installed.simulation, "cat > /var/flow.py", input=_FLOW.read_text())
    installed.ssh(f"PREFECT_API_URL={prefect_api} prefect-python /var/flow.py")
    (run,) = [run for run in _flow_runs(prefect_api) if run["id"] not in before]
    assert run["state"]["type"] == "COMPLETED"


def test_the_robots_own_packages_are_neither_changed_nor_shadowed(installed: Installed) -> None:
    assert installed.found == sorted([*installed.before, "prefect 3.3.4+ot2"])
    *places, version = installed.ssh(f"python3 -c '{look_alike.SERVER}'").split()
    assert all(place.startswith(f"{_SITE}/") for place in places), places
    assert version == "1.10.12"


def _flow_runs(api: str) -> list[dict[str, dict[str, str]]]:
    found: list[dict[str, dict[str, str]]] = ask(api, "/flow_runs/filter")
    return found
