"""The main job, run once for all tests: an index, a robot that installs from it, a server the robot reports to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from crosswheel import lock, targets
from crosswheel.files import exclusive
from crosswheel.process import Runner
from crosswheel.recipes.loader import load_folder
from crosswheel.recipes.model import Recipe
from crosswheel.settings import Settings
from crosswheel.targets import Target
from support import main_job as job
from support import prefect_server
from support.main_job import MainJob
from support.robot import Installation, Robot, robot_for
from support.static_server import StaticServer, serving

_CHECKOUT = Path(__file__).parents[2]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def target() -> Target:
    return targets.load("ot2")


@pytest.fixture(scope="session")
def settings() -> Settings:
    return Settings.from_environment()


@pytest.fixture(scope="session")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """The recipe of Prefect 3.3.4."""
    roots = load_folder(_CHECKOUT / "packages", tmp_path_factory.mktemp("dist")).roots
    return next(root for root in roots if (root.name, root.version) == ("prefect", "3.3.4"))


@pytest.fixture(scope="session")
def locked(recipe: Recipe, target: Target) -> dict[str, str]:
    """The versions of all releases that Prefect needs on the target, by name."""
    pins = lock.read(lock.path_of(recipe, target)).pins.values()
    return {pin.name: pin.version for pin in pins}


@pytest.fixture(scope="session")
def main_job(tmp_path_factory: pytest.TempPathFactory) -> MainJob:
    folder = tmp_path_factory.mktemp("main-job")
    # Of the processes that run tests side by side, the first builds, and the others find in the cache what it built.
    with exclusive(tmp_path_factory.getbasetemp().parent / "main-job", waiting=lambda: None):
        return job.run(_CHECKOUT, folder, Runner(log=folder / "output.txt"))


@pytest.fixture(scope="session")
def index(main_job: MainJob) -> Iterator[StaticServer]:
    assert main_job.returncode == 0, main_job.output[-3000:]
    with serving(main_job.index) as server:
        yield server


@pytest.fixture(scope="session")
def robot(tmp_path_factory: pytest.TempPathFactory, target: Target, settings: Settings) -> Robot:
    folder = tmp_path_factory.mktemp("robot")
    return robot_for(target, folder, settings, Runner(log=folder / "robot.log"))


@pytest.fixture(scope="session")
def installation(robot: Robot, index: StaticServer) -> Installation:
    """Install Prefect on the robot, from the index: the ordinary wheels, into an environment of its own."""
    return robot.pip_install("prefect===3.3.4", index=f"{index.url}/simple/")


@pytest.fixture(scope="session")
def prefect_python(tmp_path_factory: pytest.TempPathFactory, recipe: Recipe, settings: Settings) -> Path:
    """Install Prefect on this machine, of the recipe's version and day; return the Python that has it."""
    folder = tmp_path_factory.mktemp("prefect-server")
    return prefect_server.install(folder, recipe, settings, Runner(log=folder / "install.log"))


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory, prefect_python: Path) -> Iterator[str]:
    """Run a real Prefect server, of the recipe's version and day; give the URL of its API."""
    with prefect_server.running(prefect_python, tmp_path_factory.mktemp("prefect-data")) as url:
        yield url
