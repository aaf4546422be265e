"""The main job's proof: what it built is installed by the robot's own pip, and runs a flow there."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from email import message_from_bytes
from pathlib import Path
from typing import Any

import httpx
import pytest
from packaging.utils import is_normalized_name
from packaging.version import Version
from pypi_simple import IndexPage, ProjectPage
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from crosswheel.targets import Target
from support.main_job import MainJob
from support.prefect_server import ask
from support.robot import Installation, Robot
from support.static_server import StaticServer, serving
from support.wheels import make_wheel

_FLOW = Path(__file__).with_name("robot_flow.py")
_RECORD_SECONDS = 60


def test_one_command_builds_everything_and_says_so(main_job: MainJob, locked: dict[str, str]) -> None:
    assert main_job.returncode == 0, main_job.output[-3000:]
    totals, closing = main_job.output.rstrip().splitlines()[-2:]
    assert totals.startswith(f"{len(locked)} wheels")
    assert " 0 failed" in totals
    # One more than locked: Prefect with all that it needs, for plain pip.
    assert closing == f"The index is in {main_job.index}/simple: {len(locked) + 1} wheels."
    assert len(locked) == 96


def test_no_wheel_names_a_folder_of_the_machine_that_built_it(main_job: MainJob) -> None:
    proofs = [json.loads(path.read_text()) for path in main_job.index.glob("simple/*/*.proof.json")]
    assert {proof["wheel"] for proof in proofs} == {wheel.name for wheel in main_job.wheels}
    assert {proof["wheel"]: proof["traces"] for proof in proofs if proof["traces"]} == {}


def test_the_index_lists_every_locked_release_under_its_normalised_name(
    index: StaticServer, locked: dict[str, str]
) -> None:
    page = IndexPage.from_html(_get(f"{index.url}/simple/"))
    assert all(is_normalized_name(name) for name in page.projects)
    assert set(page.projects) == set(locked)
    for name in page.projects:
        versions = [package.version for package in _project(index, name).packages]
        assert versions == [locked[name], *(["3.3.4+ot2"] if name == "prefect" else [])]


def test_the_index_tells_each_wheels_hash_and_pythons(index: StaticServer, main_job: MainJob) -> None:
    listed = [package for name in _names(main_job) for package in _project(index, name).packages]
    wheels = {wheel.name: wheel for wheel in main_job.wheels}
    assert {package.filename for package in listed} == set(wheels)
    for package in listed:
        wheel = wheels[package.filename]
        assert package.digests == {"sha256": hashlib.sha256(wheel.read_bytes()).hexdigest()}
        assert package.requires_python == _requires_python(wheel)


def test_the_robots_pip_installs_the_whole_closure_from_the_index_alone(
    installation: Installation, index: StaticServer, locked: dict[str, str]
) -> None:
    assert {package.name: package.version for package in installation.packages} == locked
    assert all(package.url.startswith(f"{index.url}/simple/") for package in installation.packages)
    given = {path for path in index.given if path.endswith(".whl")}
    assert {package.url.removeprefix(index.url) for package in installation.packages} == given


@pytest.mark.usefixtures("installation")
def test_the_robots_pip_finds_nothing_missing_or_in_conflict(robot: Robot) -> None:
    assert robot.python("-m", "pip", "check").lines[-1] == "No broken requirements found."


@pytest.mark.usefixtures("installation")
def test_prefect_tells_its_version_on_the_robot(robot: Robot) -> None:
    said = robot.python("-m", "prefect", "version").lines
    fields = {key: value.strip() for key, colon, value in (line.partition(":") for line in said) if colon}
    assert fields["Version"] == "3.3.4"
    assert fields["Python version"] == "3.10.8"
    assert fields["OS/Arch"] == "linux/armv7l"


@pytest.mark.usefixtures("installation")
def test_a_prefect_server_sees_the_robots_flow_completed(robot: Robot, prefect_api: str) -> None:
    robot.python(
        _FLOW, environment={"PREFECT_API_URL": prefect_api, "PREFECT_HOME": str(robot.var / "prefect")}
    )

    (flow_run,) = _ask(prefect_api, "flow_runs")
    assert (flow_run["state"]["type"], flow_run["flow_id"] is not None) == ("COMPLETED", True)
    tasks = _task_runs_when_recorded(prefect_api, count=4)
    assert sorted(task["name"].split("-")[0] for task in tasks) == ["publish", "read_plate", "total", "total"]
    assert {task["state"]["type"] for task in tasks} == {"COMPLETED"}
    assert {task["flow_run_id"] for task in tasks} == {flow_run["id"]}
    assert [task["run_count"] for task in tasks if task["name"].startswith("read_plate")] == [2]
    (artifact,) = _ask(prefect_api, "artifacts")
    assert artifact["data"] == '[{"machine": "armv7l", "python": "3.10.8", "totals": [8, 15]}]'


def test_the_robots_pip_accepts_exactly_the_tags_that_its_target_states(robot: Robot, target: Target) -> None:
    asked = (
        "from pip._internal.utils.compatibility_tags import get_supported; print(*get_supported(), sep='\\n')"
    )
    assert robot.python("-c", asked).lines == [str(tag) for tag in target.tags]


def test_the_robots_pip_refuses_a_wheel_for_a_newer_c_library(robot: Robot, tmp_path: Path) -> None:
    project = tmp_path / "site" / "simple" / "probe"
    make_wheel(project, "probe", "1.0", {"probe.py": b""}, tag="cp310-cp310-manylinux_2_25_armv7l")
    make_wheel(project, "probe", "2.0", {"probe.py": b""}, tag="cp310-cp310-manylinux_2_28_armv7l")
    unlimited = replace(robot, image=tmp_path / "image")
    shutil.copytree(robot.image, unlimited.image)
    (unlimited.image / "_manylinux.py").unlink()
    with serving(tmp_path / "site") as server:
        asked = ("--dry-run", "probe")
        chosen = robot.pip_install(*asked, index=f"{server.url}/simple/").packages
        without_limit = unlimited.pip_install(*asked, index=f"{server.url}/simple/").packages
        refused = robot.pip_install("--dry-run", "probe==2.0", index=f"{server.url}/simple/", check=False)
    assert [package.version for package in chosen] == ["1.0"]
    assert [package.version for package in without_limit] == ["2.0"]  # so it was the limit that chose
    assert refused.result.returncode == 1
    assert "No matching distribution found for probe==2.0" in refused.result.output


def test_no_wheel_names_a_symbol_version_above_the_robots_c_library(
    main_job: MainJob, target: Target, tmp_path: Path
) -> None:
    """Versions are looked for as plain strings, so that no understanding of ELF is needed, or can fail."""
    newest: dict[str, Version] = {}
    for path in _elf_files(main_job, tmp_path):
        versions = re.findall(rb"\x00GLIBC_(\d+(?:\.\d+)+)(?=\x00)", path.read_bytes())
        newest[str(path.relative_to(tmp_path))] = max(
            (Version(version.decode()) for version in versions), default=Version("0")
        )
    assert len(newest) > 20
    assert {name: version for name, version in newest.items() if version > Version(target.abi.glibc)} == {}


@pytest.mark.skipif(shutil.which("readelf") is None, reason="there is no readelf (binutils) on PATH")
def test_readelf_sees_no_symbol_version_above_the_robots_c_library(
    main_job: MainJob, target: Target, tmp_path: Path
) -> None:
    command = ["readelf", "--wide", "--version-info", *map(str, _elf_files(main_job, tmp_path))]
    seen = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    versions = {Version(version) for version in re.findall(r"Name: GLIBC_(\d+(?:\.\d+)+)", seen)}
    assert Version("2.4") in versions  # the oldest that there is on ARM
    assert max(versions) <= Version(target.abi.glibc)


def _get(url: str) -> str:
    return httpx.get(url, trust_env=False).raise_for_status().text


def _names(job: MainJob) -> list[str]:
    return sorted({wheel.parent.name for wheel in job.wheels})


def _project(index: StaticServer, name: str) -> ProjectPage:
    return ProjectPage.from_html(name, _get(f"{index.url}/simple/{name}/"))


def _requires_python(wheel: Path) -> Any:
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (
            name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)
        )
        return message_from_bytes(archive.read(metadata))["Requires-Python"]


def _elf_files(job: MainJob, folder: Path) -> Iterator[Path]:
    """Unpack every ELF file of every wheel, whatever its name."""
    for wheel in job.wheels:
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.infolist():
                with archive.open(member) as stream:
                    found = stream.read(4) == b"\x7fELF"
                if found:
                    yield Path(archive.extract(member, folder / wheel.name))


def _ask(api: str, what: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask(api, f"/{what}/filter")
    return found


def _task_runs_when_recorded(api: str, count: int) -> list[dict[str, Any]]:
    """Return the task runs: a server records them from events, a moment after the flow ended."""

    def unfinished(runs: list[dict[str, Any]]) -> bool:
        return len(runs) < count or any(run["state"]["type"] not in ("COMPLETED", "FAILED") for run in runs)

    waiting = Retrying(
        retry=retry_if_result(unfinished),
        stop=stop_after_delay(_RECORD_SECONDS),
        wait=wait_fixed(0.2),
        retry_error_callback=lambda last: last.outcome.result() if last.outcome else [],
    )
    found: list[dict[str, Any]] = waiting(_ask, api, "task_runs")
    return found
