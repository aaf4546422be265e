"""A service of a robot under a real systemd: its start, its end, its limits, and the next boot."""

from __future__ import annotations

from pathlib import Path

import pytest

from crosswheel.deploy import service as services
from crosswheel.deploy.deploying import deploy
from crosswheel.deploy.release import Release
from crosswheel.deploy.service import Service
from crosswheel.deploy.ssh import Connection
from crosswheel.errors import CheckFailed, UsageError
from crosswheel.targets import Robot
from support.booted import Booted, booted, why_not
from support.releases import SITE, release, this_machine

_WHY_NOT = why_not()
pytestmark = pytest.mark.skipif(_WHY_NOT is not None, reason=str(_WHY_NOT))

# Tells what it was given, then does what a file says: `take` takes memory without end.
_PROGRAM = b"""
import os, shutil, sys, time
print("said", *sys.argv[1:], os.environ["ANSWER"], os.getcwd(), flush=True)
print("told", os.environ.get("KEY"), shutil.which("python3"), flush=True)
if os.environ["ANSWER"] == "none":
    sys.exit("there is no answer")
taken = []
while True:
    time.sleep(0.05)
    if os.path.exists("take"):
        taken.append(b"x" * 10_000_000)
"""


def robot(folder: Path) -> Robot:
    return Robot(store=str(folder / "store"), programs=str(folder / "programs"), boot=str(folder / "boot.d"))


def install(folder: Path, machine: Booted, service: Service) -> str:
    place = robot(folder)
    with Connection(machine) as connection:
        connection.ask("open", store=place.store, programs=place.programs)
        return services.install(service, this_machine(), place, connection)


def put(made: Release, place: Robot, machine: Booted) -> tuple[str, ...]:
    """Deploy; return the services that were restarted."""
    with Connection(machine) as connection:
        return deploy(made, place, connection, lambda text: None).services


def shown(machine: Booted, *names: str) -> dict[str, str]:
    said = machine.run("systemctl", "show", "flows", *(f"--property={name}" for name in names))
    return dict(line.split("=", 1) for line in said.splitlines())


def test_a_service_runs_is_limited_comes_back_and_is_removed(tmp_path: Path) -> None:
    made = release(tmp_path, "1", more={f"{SITE}/hello.py": _PROGRAM}, test="pass")
    service = Service(
        "flows", ["hello", "a b", "50%", "$x"], {"ANSWER": "4 2"}, "60M", {"KEY": 'a "b" $c\\d'}
    )
    said, place = f"said a b 50% $x 4 2 {tmp_path}/store", robot(tmp_path)
    (tmp_path / "boot.d").mkdir()
    with booted(tmp_path) as machine:
        put(made, place, machine)
        assert install(tmp_path, machine, service) == "active"
        machine.wait_for(said, "journalctl", "-u", "flows", "-o", "cat")
        own = f"{place.store}/environments/hello/current/bin/python3"
        machine.wait_for(f'told a "b" $c\\d {own}', "journalctl", "-u", "flows", "-o", "cat")
        assert (tmp_path / "store/services/flows.env").stat().st_mode & 0o777 == 0o600
        failing = Service("fails", ["hello"], {"ANSWER": "none"})
        with pytest.raises(
            CheckFailed, match=r"the service fails on booted ends at once .*\n(.*\n)*there is no answer"
        ):
            install(tmp_path, machine, failing)
        with Connection(machine) as connection:
            services.remove("fails", place, connection)
        limits = {"MemoryMax": "62914560", "OOMScoreAdjust": "900", "Nice": "10", "IOSchedulingClass": "3"}
        assert shown(machine, *limits) == limits
        # It takes more than it may have: it is ended, and nothing else is, and comes back.
        settings = "/etc/systemd/system/flows.service.d"
        machine.run(
            "sh", "-c", f"mkdir {settings}; printf '[Service]\nRestartSec=0\n' > {settings}/soon.conf"
        )
        machine.run("systemctl", "daemon-reload")
        (tmp_path / "store" / "take").touch()
        machine.wait_for("NRestarts=1", "systemctl", "show", "flows", "--property=NRestarts")
        (tmp_path / "store" / "take").unlink()
        assert machine.run("systemctl", "is-active", "systemd-journald").strip() == "active"
    with booted(tmp_path) as machine:
        machine.wait_for(said, "journalctl", "-u", "flows", "-o", "cat")
        assert shown(machine, "ActiveState", "MemoryMax") == {
            "ActiveState": "active",
            "MemoryMax": "62914560",
        }
        # What is deployed next, is what runs; and what runs is not removed below it.
        following = release(tmp_path, "2", more={f"{SITE}/hello.py": _PROGRAM + b"# 2"}, test="pass")
        process = ("systemctl", "show", "flows", "--property=MainPID")
        before = machine.run(*process)
        assert put(following, place, machine) == ("flows",)
        machine.wait_until(lambda said: said not in (before, "MainPID=0\n"), *process)
        assert put(following, place, machine) == ()
        with Connection(machine) as connection:
            connection.ask("open", store=place.store, programs=place.programs)
            with pytest.raises(UsageError, match="hello is what the service flows runs"):
                connection.ask("remove", name="hello")
            services.remove("flows", place, connection)
            connection.ask("remove", name="hello")
        assert shown(machine, "LoadState", "ActiveState") == {
            "LoadState": "not-found",
            "ActiveState": "inactive",
        }
    assert list((tmp_path / "store" / "services").iterdir()) == []
