"""A cluster with the real Dask, over TLS: work goes to machines that have nothing in common but a store."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

import crosswheel
from support import projects
from support.clusters import Cluster, Program, bare_machine, cluster, is_alive, trees, waited_for, worker_of
from support.command_line import CommandLine, Done, command_line
from support.crossing import warm_cache
from support.projects import own_project, write_tree
from support.s3 import s3_server
from support.small_disk import unshare

TEST = "import _demo\nassert _demo.add(40, 2) == 42\n"
# Tells that its build began, and waits as long as a file is there; it sees them because nothing is in a sandbox here.
_HELD = """
import os, time
from setuptools import setup
with open({begun!r}, "a") as stream:
    stream.write(f"{{os.getpid()}}\\n")
while os.path.exists({held!r}):
    time.sleep(0.05)
setup(name="held", version={version!r}, py_modules=["held"])
"""


class Hold:
    """Holds the build of a release back, and knows the processes that began it."""

    def __init__(self, folder: Path, version: str) -> None:
        self.begun, self.held, self.version = folder / "begun", folder / "held", version
        self.held.touch()

    @property
    def project(self) -> projects.Files:
        setup = _HELD.format(begun=str(self.begun), held=str(self.held), version=self.version)
        return {"pyproject.toml": projects.pyproject(projects.SETUPTOOLS), "setup.py": setup, "held.py": ""}

    def words(self, *more: str) -> tuple[str, ...]:
        """Return the words of a build of it, and of more."""
        return (
            f"held=={self.version}",
            *more,
            "--as-of",
            "2024-12-31",
            "--sandbox",
            "none",
            "--build-type",
            "packages-only",
        )

    def processes(self, count: int) -> list[int]:
        """Wait until a number of builds have begun; return their processes."""
        waited_for(lambda: len(self._found()) >= count, f"{count} builds in {self.begun}")
        return self._found()

    def _found(self) -> list[int]:
        return [int(word) for word in self.begun.read_text().split()] if self.begun.exists() else []


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    with command_line(tmp_path_factory.mktemp("cluster")) as line:
        line.offer_real("setuptools", "75.8.0")
        line.offer_wheel("pure", files={"pure.py": b""})
        line.offer_sdist(projects.c_project(), requires="pure")
        line.recipe('as_of="2024-12-31", tests=["test_add.py"]', files={"test_add.py": TEST})
        line.variables["CROSSWHEEL_KEYS"] = str(line.folder / "keys")
        for command in (("keys", "new"), ("keys", "cluster"), ("lock",)):
            done = line.run(*command)
            assert done.returncode == 0, done.output
        yield line


@pytest.fixture(scope="module")
def farm(line: CommandLine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("farm") / "own"
    with (
        pytest.MonkeyPatch.context() as environment,
        s3_server(environment),
        cluster(line, folder) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def numbers() -> Iterator[int]:
    return itertools.count(1)


@pytest.fixture
def hold(line: CommandLine, numbers: Iterator[int], tmp_path: Path) -> Hold:
    hold = Hold(tmp_path, f"1.{next(numbers)}")  # what one test built, another one would find
    line.offer_sdist(hold.project, name="held", version=hold.version)
    return hold


def wheels(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("dist/**/*.whl")}


def test_workers_make_what_this_machine_would_make(farm: Cluster, tmp_path: Path) -> None:
    done = farm.build(tmp_path / "there").ended()
    assert done.returncode == 0, done.output
    watched = re.search(r"has 2 workers; watch them at (http://127\.0\.0\.1:\d+)/status", done.words)
    assert watched, done.output
    page = httpx.get(f"{watched[1]}/info/main/workers.html").text
    assert "worker-1" in page
    assert "worker-2" in page
    here = farm.line.run(
        "build", *farm.words(tmp_path / "here")[3:], "--shared-cache", str(tmp_path / "other")
    )
    assert here.returncode == 0, here.output
    assert wheels(tmp_path / "there") == wheels(tmp_path / "here")
    assert "demo-1.0-cp310-cp310-linux_armv7l.whl" in wheels(tmp_path / "there")
    assert "building" in (tmp_path / "there/build/demo/1.0/build.log").read_text()
    assert farm.line.run("cache", "verify", "--shared-cache", farm.store).returncode == 0


def made_by_workers(farm: Cluster, name: str) -> list[Path]:
    """Return the wheels of a package that are in the caches of workers, which no other machine reads."""
    return [*farm.folder.glob(f"cache-worker-*/made/*/{name}-*.whl")]


def test_the_store_of_a_cluster_may_be_one_of_objects(farm: Cluster, tmp_path: Path) -> None:
    bucket = replace(farm, store="s3://robots/shared")
    done = bucket.build(tmp_path / "there").ended()
    assert done.returncode == 0, done.output
    assert "demo-1.0-cp310-cp310-linux_armv7l.whl" in wheels(tmp_path / "there")
    again = bucket.build(tmp_path / "again").ended()
    assert "2 found" in again.words
    assert wheels(tmp_path / "again") == wheels(tmp_path / "there")
    assert farm.line.run("cache", "verify", "--shared-cache", bucket.store).returncode == 0


def test_own_projects_are_built_on_workers_and_lines_apart(farm: Cluster, tmp_path: Path) -> None:
    folder = farm.line.folder
    write_tree(folder / "core", own_project("core", requires=("pure",)))
    sources = "core = {path = '../core', editable = true}\n"
    lab = own_project("lab", requires=("core>=1",), tool__uv__sources=sources)
    write_tree(folder / "lab", lab)
    broken = {**projects.c_project("torn"), "demo.c": "this is no C\n"}
    farm.line.offer_sdist(broken, name="torn")
    (folder / "names.txt").write_text("./lab\ntorn==1.0\npure==1.0\nnobody-has-it\n")
    words = ("--each", "-r", "names.txt", "--as-of", "2024-12-31")
    there = tmp_path / "there"
    done = farm.build(there, *words).ended()
    done.explains(2, "4 lines: 1 taken, 1 built, 0 found, 2 failed", "(on worker-")
    assert set(wheels(there)) == {
        "core-1.0-py3-none-any.whl",
        "lab-1.0-py3-none-any.whl",
        "pure-1.0-py3-none-any.whl",
    }
    assert made_by_workers(farm, "lab")
    assert made_by_workers(farm, "core")
    assert "this is no C" in (there / "build/torn/1.0/build.log").read_text()
    (folder / "lab/lab.py").write_text("def main(): return 'changed'\n")
    again = farm.build(there, *words).ended()
    again.explains(2, "4 lines: 0 taken, 1 built, 1 found, 2 failed")
    with zipfile.ZipFile(there / "dist/lab/1.0/lab-1.0-py3-none-any.whl") as wheel:
        assert b"changed" in wheel.read("lab.py")


def workers_of(farm: Cluster) -> dict[str, Program]:
    return {name: program for name, program in farm.programs.items() if name.startswith("worker-")}


def test_a_worker_killed_in_the_middle_and_its_package_is_built_elsewhere(
    farm: Cluster, hold: Hold, tmp_path: Path
) -> None:
    building = farm.build(tmp_path / "killed", *hold.words())
    (first,) = hold.processes(1)
    os.kill(worker_of(first, workers_of(farm)).worker, signal.SIGKILL)
    second = hold.processes(2)[1]
    assert not is_alive(first)
    hold.held.unlink()
    done = building.ended()
    assert done.returncode == 0, done.output
    assert list(wheels(tmp_path / "killed")) == [f"held-{hold.version}-py3-none-any.whl"]
    assert second != first
    assert farm.line.run("cache", "verify", "--shared-cache", farm.store).returncode == 0


def test_a_package_that_kills_three_workers_fails_with_that_reason(
    farm: Cluster, hold: Hold, tmp_path: Path
) -> None:
    building = farm.build(tmp_path / "thrice", *hold.words("pure==1.0"))
    for count in (1, 2, 3):
        process = hold.processes(count)[-1]
        os.kill(worker_of(process, workers_of(farm)).worker, signal.SIGKILL)
    done = building.ended()
    done.explains(
        1, f"held=={hold.version}: 3 workers died while they worked on it, the last of them worker-"
    )
    assert list(wheels(tmp_path / "thrice")) == ["pure-1.0-py3-none-any.whl"]


def test_ctrl_c_ends_the_builds_on_the_workers(farm: Cluster, hold: Hold, tmp_path: Path) -> None:
    building = farm.build(tmp_path / "stopped", *hold.words())
    (process,) = hold.processes(1)
    building.ended(signal.SIGINT).explains(130, "stopped")
    waited_for(lambda: not is_alive(process), "the end of the build on the worker")


def test_a_command_that_is_killed_leaves_no_build_on_the_workers(
    farm: Cluster, hold: Hold, tmp_path: Path
) -> None:
    building = farm.build(tmp_path / "dead", *hold.words())
    (process,) = hold.processes(1)
    building.kill()
    waited_for(lambda: not is_alive(process), "the end of the build on the worker")


def test_the_scheduler_is_gone_and_the_same_command_goes_on(
    farm: Cluster, hold: Hold, tmp_path: Path
) -> None:
    building = farm.build(tmp_path / "gone", *hold.words())
    (process,) = hold.processes(1)
    farm.programs["scheduler"].kill()
    building.ended().explains(2, f"the scheduler at {farm.url} is gone")
    waited_for(lambda: not is_alive(process), "the end of the build on the worker")
    farm.build(tmp_path / "gone", *hold.words()).ended().explains(
        2, f"no scheduler of the cluster answers at {farm.url}"
    )
    farm.start_scheduler()
    hold.held.unlink()
    again = farm.build(tmp_path / "gone", *hold.words()).ended()
    assert again.returncode == 0, again.output


def test_versions_that_differ_are_refused_and_both_are_named(farm: Cluster, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(Path(crosswheel.__file__).parent, other / "crosswheel")
    with (other / "crosswheel/plan.py").open("a") as stream:
        stream.write("# another version\n")
    words = farm.words(tmp_path / "there", "pure==1.0", "--as-of", "2024-12-31")
    for command in (words, ("worker", farm.url)):
        refused = subprocess.run(
            [sys.executable, "-m", "crosswheel", *command],
            cwd=farm.line.folder,
            env=farm.line.environment(PYTHONPATH=str(other), **bare_machine(tmp_path / "there")),
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        output = refused.stdout + refused.stderr
        Done(refused.returncode, output).explains(2, f"the scheduler at {farm.url} has crosswheel")
        codes = set(re.findall(r"\(code ([0-9a-f]{12})\)", output))
        assert len(codes) == 2, output
    assert not (tmp_path / "there/dist").exists()


def test_a_build_that_fails_on_a_worker_leaves_its_log_here(farm: Cluster, tmp_path: Path) -> None:
    broken = {**projects.c_project("broken"), "demo.c": "this is no C\n"}
    farm.line.offer_sdist(broken, name="broken")
    done = farm.build(tmp_path / "there", "broken==1.0", "--as-of", "2024-12-31").ended()
    done.explains(1, "(on worker-", "build/broken/1.0/build.log")
    assert "this is no C" in (tmp_path / "there/build/broken/1.0/build.log").read_text()


def test_a_package_goes_elsewhere_if_the_disk_of_a_worker_is_full(
    farm: Cluster, hold: Hold, tmp_path: Path
) -> None:
    disk = farm.folder / "cache-worker-full" / "cluster"
    script = f'mkdir -p {disk} && mount -t tmpfs -o size=3m tmpfs {disk} && exec "$@"'
    full = farm.start_worker("worker-full", "--memory", "64G", prefix=[*unshare(), "sh", "-c", script, "sh"])
    full.says("works for")
    hold.held.unlink()
    done = farm.build(
        tmp_path / "full", *hold.words("--memory-limit", "40G")
    ).ended()  # only that one has so much
    full.ended(signal.SIGTERM)
    assert done.returncode == 0, done.output
    assert "goes elsewhere, as worker-full cannot do it: the disk" in done.words
    assert list(wheels(tmp_path / "full")) == [f"held-{hold.version}-py3-none-any.whl"]


def test_workers_on_this_machine_have_caches_of_their_own(line: CommandLine, tmp_path: Path) -> None:
    place = tmp_path / "there"
    variables = bare_machine(place)
    warm_cache(Path(variables["CROSSWHEEL_CACHE"]) / "cluster/cache-1")
    store = ("--shared-cache", str(tmp_path / "shared"))
    done = line.run("build", "--workers", "1", *store, *trees(place), **variables)
    assert done.returncode == 0, done.output
    assert "The cluster at tls://127.0.0.1:" in done.words
    assert len(wheels(place)) == 2


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--cluster", "tls://head"], "a cluster needs a shared cache to write to"),
        (["--cluster", "tcp://head", "--shared-cache", "s"], "tcp://head is not encrypted"),
        (["--cluster", "head", "--shared-cache", "s"], "'head' is not the address of a scheduler"),
        (["--cluster", "tls://head", "--workers", "2", "--shared-cache", "s"], "are two clusters"),
    ],
)
def test_what_no_cluster_can_do_is_told(line: CommandLine, words: list[str], reason: str) -> None:
    line.run("build", "pure==1.0", *words).explains(2, reason)


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"CROSSWHEEL_KEYS": "none"}, "no key is trusted here"),
        ({"CROSSWHEEL_OFFLINE": "1"}, "this machine is offline"),
    ],
)
def test_what_this_machine_lacks_is_told_before_a_cluster_starts(
    line: CommandLine, variables: dict[str, str], reason: str
) -> None:
    done = line.run("build", "pure==1.0", "--workers", "1", "--shared-cache", "s", **variables)
    done.explains(2, reason)
    assert "The cluster at" not in done.words
