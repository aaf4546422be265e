"""Newest Prefect on a robot whose own Python is too old for it: built, proven, deployed with a Python, and run.

    bench/newest-prefect [--target ot2-py313] [--folder FOLDER | --kept FOLDER]

locks the newest release of today; --kept takes what an earlier run with --folder built. On the look-alike robot,
`deploy` sends Prefect with the Python, a second environment shares that one, and the robot's own pip installs the wheel
that has both. A flow is seen by a real server of that version on this machine. So are the flow of
examples/newest-prefect, which uses a stand-in of the robot's HTTP API, and its deployment, which a worker on the robot
runs.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from _measure import ROOT, machine, say, served, show, stop, timed, usual_environment, workspace

from crosswheel import targets
from crosswheel.job.closures import root_of_lock
from crosswheel.process import Runner
from crosswheel.settings import Settings
from crosswheel.simulator.image import image_for
from crosswheel.simulator.look_alike import ALIAS, Simulation, running

sys.path.insert(0, str(ROOT / "tests"))
from support import prefect_server
from support.prefect_server import ask
from support.robot_api import robot_api

_CROSSWHEEL = Path(sys.executable).with_name("crosswheel")
_FLOW = ROOT / "tests" / "e2e" / "robot_flow.py"
_EXAMPLE = ROOT / "examples" / "newest-prefect"
_FACTS = ("Version", "Python version", "OS/Arch")


@dataclass(frozen=True)
class Robot:
    """A running look-alike, and what is sent to it."""

    simulation: Simulation
    requirement: str
    target: str
    folder: Path

    def ssh(self, command: str, given: str = "") -> str:
        """Run a command on the robot, as a login does."""
        words = ["ssh", "-F", str(self.simulation.ssh_config), ALIAS, f". /etc/profile; {command}"]
        done = subprocess.run(words, capture_output=True, text=True, check=False, input=given)
        if done.returncode != 0:
            stop(f"{command} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout

    def deploy(self, *more: str) -> str:
        """Deploy the program; return how much was sent, and how long it took."""
        words = [
            "deploy",
            self.requirement,
            "--target",
            self.target,
            "--recipes",
            str(self.folder / "packages"),
        ]
        words += ["--dist-tree-root", str(self.folder / "dist"), "--robot", ALIAS]
        words += ["--ssh-config", str(self.simulation.ssh_config), *more]
        log = self.folder / "deploy.txt"
        seconds = timed([_CROSSWHEEL, *words], log, env=usual_environment())
        (row,) = re.findall(rf"^{ALIAS} .*", log.read_text(), re.MULTILINE)
        _, _, files, number, unit, *_ = row.split()
        return f"{number} {unit} in {files} files, {seconds:.0f} s"

    def version(self, program: str) -> str:
        """Return what the program says of itself."""
        lines = self.ssh(f"{program} version").splitlines()
        facts = {key: value.strip() for key, colon, value in (line.partition(":") for line in lines) if colon}
        return ", ".join(facts[name] for name in _FACTS)

    def flow(self, program: str, api: str, file: Path = _FLOW, **variables: str) -> str:
        """Run a file on the robot; return what the server on this machine says of its flow."""
        before = _flow_runs(api)
        began = time.monotonic()
        self.ssh(f"cat > /var/{file.name}", file.read_text())
        self.ssh(f"{_stated(api, variables)} {program}-python /var/{file.name}")
        return _ended(api, before, began)

    def worker(self, program: str, api: str, **variables: str) -> str:
        """Deploy the example's flow, ask for a run, and let a worker on the robot run it; return as :meth:`flow`."""
        self.flow(program, api, _EXAMPLE / "deployment.py")
        (deployment,) = ask(api, "/deployments/filter")
        ask(api, f"/deployments/{deployment['id']}/create_flow_run", idempotency_key="once")
        began = time.monotonic()
        self.ssh(f"{_stated(api, variables)} {program} worker start --pool robots --type process --run-once")
        states = [state for state in _flow_runs(api, deployment["id"]).values() if state != "SCHEDULED"]
        return f"{', '.join(states)} ({time.monotonic() - began:.0f} s, under emulation)"


def _stated(api: str, variables: Mapping[str, str]) -> str:
    """Return the variables of a command on the robot, as a shell reads them."""
    return " ".join(f"{name}={value}" for name, value in {"PREFECT_API_URL": api, **variables}.items())


def _ended(api: str, before: Mapping[str, str], began: float) -> str:
    """Return the states of the flow runs that a server knows since, and the seconds."""
    states = [state for run, state in _flow_runs(api).items() if run not in before]
    return f"{', '.join(states)} ({time.monotonic() - began:.0f} s, under emulation)"


def _flow_runs(api: str, deployment: str | None = None) -> dict[str, str]:
    """Return the state of each flow run that a server knows, or of those of a deployment."""
    runs = ask(api, "/flow_runs/filter")
    return {run["id"]: run["state"]["type"] for run in runs if deployment in (None, run.get("deployment_id"))}


def _build(target: str, folder: Path) -> str:
    (folder / "packages").mkdir()
    words: list[str | Path] = [_CROSSWHEEL, "add", "prefect", "--recipes", folder / "packages"]
    words += ["--target", target, "--verbose"]
    seconds = timed(words, folder / "build.txt", cwd=folder, env=usual_environment())
    totals = re.findall(r"^\d+ wheels.*", (folder / "build.txt").read_text(), re.MULTILINE)
    return f"{totals[-1]} ({seconds:.0f} s)"


def _rows(robot: Robot, api: str) -> Sequence[tuple[str, str]]:
    rows = [("deploy, with the Python", robot.deploy())]
    rows += [("prefect version", robot.version("prefect")), ("its flow", robot.flow("prefect", api))]
    rows += _example_rows(robot, api)
    rows += [("deploy again as another environment", robot.deploy("--name", "flows"))]
    rows += [("flows version", robot.version("flows"))]
    for name in ("flows", "prefect"):
        words: list[str | Path] = [
            _CROSSWHEEL,
            "remove",
            name,
            "--robot",
            ALIAS,
            "--ssh-config",
            robot.simulation.ssh_config,
        ]
        timed(words, robot.folder / "remove.txt", env=usual_environment())
    began, name = time.monotonic(), robot.requirement.partition("==")[0]
    robot.ssh(f"pip install {name} --no-cache-dir --index-url {served(robot.folder / 'index')}")
    rows += [("by the robot's own pip", f"installed in {time.monotonic() - began:.0f} s")]
    return [*rows, ("prefect version", robot.version("prefect")), ("its flow", robot.flow("prefect", api))]


def _example_rows(robot: Robot, api: str) -> Sequence[tuple[str, str]]:
    with robot_api() as stand_in:
        rows = [
            ("the example's flow", robot.flow("prefect", api, _EXAMPLE / "flow.py", ROBOT_API=stand_in.url))
        ]
        ask(api, "/work_pools/", name="robots", type="process")
        rows += [("its deployment, by a worker", robot.worker("prefect", api, ROBOT_API=stand_in.url))]
        return [*rows, ("what the robot's API was asked", ", ".join(stand_in.done))]


def main() -> None:
    """Build, deploy, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", default="ot2-py313", help="a target that is sent a Python")
    parser.add_argument("--folder", type=Path, help="an empty folder for what is made, which is kept")
    parser.add_argument("--kept", type=Path, help="a folder that an earlier run kept: nothing is built")
    given = parser.parse_args()
    here, settings, runner = machine(), Settings.from_environment(), Runner()
    target = targets.load(given.target)
    with ExitStack() as stack:
        folder = stack.enter_context(workspace(given.folder))
        rows = []
        if given.kept:
            for name in ("packages", "dist", "index"):
                (folder / name).symlink_to((given.kept / name).resolve())
        else:
            say(f"building the newest Prefect for {target.name}")
            rows = [("locked, built and proven", _build(target.name, folder))]
        (lock,) = (folder / "packages").glob(f"*/*/{target.name}.lock")
        root = root_of_lock(lock)
        image = image_for(targets.load(target.name.rpartition("-")[0]), settings, runner, say)
        simulation = stack.enter_context(running(image, folder / "robot", runner, var_size="2g"))
        (folder / "server").mkdir()
        python = prefect_server.install(folder / "server", root, settings, runner)
        api = stack.enter_context(prefect_server.running(python, folder / "server"))
        rows += _rows(Robot(simulation, root.roots[0], target.name, folder), api)
    show(f"{root.roots[0]} for {target.title} ({here})", ["what", "result"], rows, right=[])


if __name__ == "__main__":
    main()
