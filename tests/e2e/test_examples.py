"""The examples for Prefect on the robot, natively on this machine: a flow by hand, and on a worker."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from support.prefect_server import ask
from support.robot_api import RobotApi, robot_api

_EXAMPLE = Path(__file__).parents[2] / "examples" / "newest-prefect"
_DONE = ["lights on", "home", "lights off"]


def _run(python: Path, folder: Path, robot: RobotApi, api: str, *words: str | Path) -> str:
    environment = {
        "PATH": os.defpath,
        "HOME": str(folder),
        "TMPDIR": str(folder),  # the worker keeps a folder of a fixed name there, which may be another user's
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_API_URL": api,
        "ROBOT_API": robot.url,
        "DO_NOT_TRACK": "1",
    }
    done = subprocess.run(
        [python, *words],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_flow_asks_the_robots_own_server(prefect_python: Path, prefect_api: str, tmp_path: Path) -> None:
    with robot_api() as robot:
        told = _run(prefect_python, tmp_path, robot, prefect_api, _EXAMPLE / "flow.py")
        assert robot.done == _DONE
    assert told.splitlines()[-1] == "{'name': 'stand-in', 'version': '8.2.0', 'home': 'succeeded'}"


def test_a_worker_runs_the_deployment_that_has_a_schedule(
    prefect_python: Path, prefect_api: str, tmp_path: Path
) -> None:
    ask(prefect_api, "/work_pools/", name="robots", type="process")
    with robot_api() as robot:
        _run(prefect_python, tmp_path, robot, prefect_api, _EXAMPLE / "deployment.py")
        (deployment,) = ask(prefect_api, "/deployments/filter")
        assert [schedule["schedule"]["cron"] for schedule in deployment["schedules"]] == ["0 6 * * *"]
        run = ask(prefect_api, f"/deployments/{deployment['id']}/create_flow_run", idempotency_key="once")
        worker = ("-m", "prefect", "worker", "start", "--pool", "robots", "--type", "process", "--run-once")
        _run(prefect_python, tmp_path, robot, prefect_api, *worker)
        assert robot.done == _DONE
    (ended,) = ask(prefect_api, "/flow_runs/filter", flow_runs={"id": {"any_": [run["id"]]}})
    assert ended["state"]["type"] == "COMPLETED"
