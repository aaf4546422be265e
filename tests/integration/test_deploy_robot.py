"""Deploying to a look-alike robot over real ssh: what is promised to the user, to the robot, and to its own server."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from crosswheel import targets
from crosswheel.deploy.assembling import assembler_for, chosen
from crosswheel.deploy.ssh import Address, Connection
from crosswheel.errors import StorageError
from crosswheel.files import sha256_of
from crosswheel.index.site import write_site
from crosswheel.process import Runner
from crosswheel.settings import Settings
from crosswheel.simulator.image import LookAlikeImage
from crosswheel.simulator.look_alike import ALIAS, Simulation, running
from crosswheel.wheels.proof import Proof
from support import look_alike
from support.projects import own_project, write_tree
from support.static_server import serving
from support.wheels import make_wheel

_CROSSWHEEL = Path(sys.executable).with_name("crosswheel")
# What a wheel has as data lies below sys.prefix, wherever and however it was installed.
_GREETER = """
import pydantic, pathlib, sys
def main():
    assert pathlib.Path(sys.prefix, "etc/greeter/words.txt").read_text() == "hello"
    print("greeter {version} with pydantic", pydantic.VERSION)
"""
_SITE = "/usr/lib/python3.10/site-packages"


@dataclass(frozen=True)
class Bench:
    """A running look-alike, and folders of wheels and locks to deploy from."""

    simulation: Simulation
    folder: Path

    def offer(self, version: str, *, payload: int = 0) -> None:
        """Put a program and its newer pydantic into the tree of wheels, with proofs, and lock them."""
        files = {
            "greeter.py": _GREETER.format(version=version).encode(),
            f"greeter-{version}.data/data/etc/greeter/words.txt": b"hello",
        }
        if payload:
            files["greeter_payload.bin"] = os.urandom(payload)
        points = {"entry_points.txt": b"[console_scripts]\ngreeter = greeter:main\n"}
        self._add("greeter", version, files, points, ["pydantic>=2"])
        self._add("pydantic", "2.9.9", {"pydantic.py": b"VERSION = '2.9.9'\n"}, {}, [])
        lock = self.folder / "packages/greeter" / version / "ot2.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        zeros = "0" * 64
        pins = [f"greeter=={version}", "pydantic==2.9.9"]
        lock.write_text("".join(f"{pin} --hash=sha256:{zeros}\n" for pin in pins))

    def _add(
        self,
        name: str,
        version: str,
        files: dict[str, bytes],
        dist_info: dict[str, bytes],
        requires: Sequence[str],
    ) -> None:
        place = self.folder / "dist" / name / version
        wheel = make_wheel(place, name, version, files, requires=requires, dist_info=dist_info)
        digest = sha256_of(wheel)
        Proof(
            wheel=wheel.name, sha256=digest, target="ot2", origin="taken", reason="test", source="test"
        ).write_beside(wheel)

    def crosswheel(self, *words: str, alias: str = ALIAS) -> subprocess.CompletedProcess[str]:
        """Run a command of crosswheel for the robot."""
        where = ["--ssh-config", str(self.simulation.ssh_config), "--robot", alias]
        return self._run([*words, *where])

    def deploy(self, requirement: str, *words: str) -> subprocess.CompletedProcess[str]:
        return self.crosswheel("deploy", requirement, *self.trees, *words)

    def local(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of crosswheel that needs no robot."""
        return self._run([*words, *self.trees])

    @property
    def trees(self) -> list[str]:
        return ["--recipes", str(self.folder / "packages"), "--dist-tree-root", str(self.folder / "dist")]

    def ssh(self, command: str, **options: object) -> subprocess.CompletedProcess[str]:
        """Run a command on the robot, as a login does."""
        return look_alike.ssh(self.simulation, command, **options)

    def _run(self, words: list[str]) -> subprocess.CompletedProcess[str]:
        return _run(words, self.folder)


def _run(words: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([_CROSSWHEEL, *words], capture_output=True, text=True, check=False, cwd=folder)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> LookAlikeImage:
    return look_alike.image(tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="module")
def module_bench(image: LookAlikeImage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Give a running robot, and check at the end that its own server would still find what it imports."""
    folder, before = tmp_path_factory.mktemp("robot"), look_alike.files_of(image.root)
    with running(image, folder, Runner(log=folder / "commands.txt"), var_size="80m") as simulation:
        bench = Bench(simulation, folder)
        bench.offer("1.0")
        bench.offer("2.0")
        yield bench
        assert bench.deploy("greeter").returncode == 0
        said = bench.ssh(f"python3 -c '{look_alike.SERVER}'")
        assert said.stdout.endswith(" 1.10.12\n"), said.stderr
    assert look_alike.files_of(image.root) == before


@pytest.fixture
def bench(module_bench: Bench) -> Iterator[Bench]:
    """Give the robot as it is delivered, and check that its own Python imports its own packages afterwards."""
    module_bench.ssh("rm -rf /var/user-packages /var/filler")
    yield module_bench
    said = module_bench.ssh("python3 -c 'import pydantic; print(pydantic.__file__, pydantic.VERSION)'")
    assert said.stdout == f"{_SITE}/pydantic/__init__.py 1.10.12\n", said.stderr


def test_the_look_alike_is_as_the_robot_is(bench: Bench) -> None:
    assert bench.ssh("uname -m; python3 --version").stdout.split() == ["armv7l", "Python", "3.10.8"]
    assert "Read-only file system" in bench.ssh("touch /usr/lib/x").stderr
    assert bench.ssh("cat /etc/pip.conf").stdout == targets.load("ot2").robot.pip_config  # type: ignore[union-attr]


def test_who_logs_in_has_a_terminal_and_finds_the_programs(bench: Bench) -> None:
    words = ["ssh", "-tt", "-F", str(bench.simulation.ssh_config), ALIAS]
    said = subprocess.run(words, input="tty\necho $PATH\nexit\n", capture_output=True, text=True, check=False)
    assert "/dev/pts/" in said.stdout, said.stderr
    assert re.search(r"^/\S+:/var/user-packages/usr/bin\r?$", said.stdout, re.MULTILINE), said.stdout


def test_a_second_look_alike_at_the_same_port_is_refused(bench: Bench, tmp_path: Path) -> None:
    done = bench._run(["robot-sim", "--port", str(bench.simulation.port), "--folder", str(tmp_path)])
    assert done.returncode == 2
    assert "cannot be had" in done.stderr
    assert bench.ssh("true").returncode == 0


def test_a_look_alike_that_cannot_be_started_is_explained(
    image: LookAlikeImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuses = tmp_path / "bin" / "unshare"
    refuses.parent.mkdir()
    refuses.write_text("#!/bin/sh\necho 'unshare failed: Operation not permitted'\nexit 1\n")
    refuses.chmod(0o755)
    monkeypatch.setenv("PATH", f"{refuses.parent}:{os.environ['PATH']}")
    done = _run(["robot-sim", "--port", "0", "--folder", str(tmp_path / "robot")], tmp_path)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
    assert "cannot be started by this user: unshare failed: Operation not permitted" in done.stderr
    assert "what to do: it needs a user namespace" in done.stderr


def test_the_command_runs_a_look_alike_tells_the_way_in_and_ends_with_it(
    image: LookAlikeImage, tmp_path: Path
) -> None:
    words = [str(_CROSSWHEEL), "robot-sim", "--port", "0", "--folder", str(tmp_path)]
    child = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd="/")
    try:
        assert child.stdout is not None
        config, command = tmp_path / "ssh_config", _CROSSWHEEL.relative_to("/")
        told = [child.stdout.readline() for _ in range(3)]
        assert told[1:] == [
            f"  ssh -F {config} {ALIAS}\n",
            f"  {command} deploy prefect==3.3.4 --ssh-config {config} --robot {ALIAS}\n",
        ]
        way_in = [*told[1].split(), "uname -m"]
        assert subprocess.run(way_in, capture_output=True, text=True, check=False).stdout == "armv7l\n"
    finally:
        child.send_signal(signal.SIGINT)
        child.communicate()
    assert child.returncode == 0
    ended = subprocess.run(way_in, capture_output=True, text=True, check=False)
    assert "refused" in ended.stderr


def test_a_program_is_deployed_updated_rolled_back_verified_and_removed(bench: Bench) -> None:
    first = bench.deploy("greeter==1.0", "--test", "greeter")
    assert first.returncode == 0, first.stderr
    assert "reached: armv7l, Python 3.10.8, glibc " in first.stdout
    assert "the image of robot-sim has 1 at other versions (pydantic 1.10.12)" in first.stdout
    assert bench.ssh("greeter").stdout == "greeter 1.0 with pydantic 2.9.9\n"
    second = bench.deploy("greeter", "--test", "greeter")
    assert second.returncode == 0, second.stderr
    assert bench.ssh("greeter").stdout == "greeter 2.0 with pydantic 2.9.9\n"
    assert bench.crosswheel("verify", "greeter").returncode == 0
    assert bench.crosswheel("rollback", "greeter").returncode == 0
    assert bench.ssh("greeter").stdout == "greeter 1.0 with pydantic 2.9.9\n"
    listed = bench.crosswheel("list").stdout.splitlines()[2:]
    assert [line.split()[2:5] for line in listed] == [["1.0", "1", "active"], ["2.0", "2", "kept"]]
    assert bench.crosswheel("remove", "greeter").returncode == 0
    assert "not found" in bench.ssh("greeter").stderr


def test_known_vulnerabilities_of_what_a_robot_has_are_told_by_its_own_sbom(
    bench: Bench, tmp_path: Path
) -> None:
    assert bench.deploy("greeter==1.0").returncode == 0
    ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.10"}]}]
    database = tmp_path / "advisories.json"
    database.write_text(
        json.dumps(
            [
                {
                    "id": "PYSEC-2025-1",
                    "modified": "2025-04-01T00:00:00Z",
                    "affected": [{"package": {"ecosystem": "PyPI", "name": name}, "ranges": ranges}],
                }
                for name in ("pydantic", "sqlalchemy")
            ]
        )
    )
    words = ("audit", "--osv", str(database), "--max-age", "100000")
    found = bench.crosswheel(*words)
    assert found.returncode == 1, found.stderr
    assert "PYSEC-2025-1" in found.stdout
    assert "pydantic 2.9.9 in greeter on" in " ".join(found.stdout.split())
    # Neither the image's own packages nor an environment that is gone is asked about.
    assert "2 parts looked for" in found.stderr
    assert "1 finding" in found.stderr
    assert bench.crosswheel("remove", "greeter").returncode == 0
    assert bench.crosswheel(*words).returncode == 0


def test_a_script_runs_in_the_environment_whatever_its_caller_was_told(bench: Bench) -> None:
    assert bench.deploy("greeter").returncode == 0
    script = "echo 'import pydantic, sys; print(pydantic.VERSION, sys.argv[1])' > /var/script.py"
    said = bench.ssh(f"{script}; export PYTHONPATH={_SITE}; greeter-python /var/script.py hello")
    assert said.stdout == "2.9.9 hello\n", said.stderr
    # What docs/robots.md says of a command that is given to ssh.
    for words in ("/var/user-packages/usr/bin/greeter", "sh -lc 'greeter'"):
        given = ["ssh", "-F", str(bench.simulation.ssh_config), ALIAS, words]
        said = subprocess.run(given, capture_output=True, text=True, check=False)
        assert said.stdout.startswith("greeter "), said.stderr


def test_the_robot_takes_the_bytecode_that_was_sent_as_it_is(bench: Bench) -> None:
    assert bench.deploy("greeter").returncode == 0
    said = bench.ssh("greeter-python -v -c 'import greeter'").stderr
    assert "greeter.cpython-310.pyc" in said
    assert "# wrote" not in said


def test_the_way_from_a_protocol_that_is_documented_works(bench: Bench) -> None:
    assert bench.deploy("greeter").returncode == 0
    text = (Path(__file__).parents[2] / "docs/robots.md").read_text()
    caller, script = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    caller = caller.replace("prefect-python", "greeter-python")
    caller += "import pydantic\nprint(ask('/var/answer.py', {'volumes': [3, 1]}), pydantic.VERSION)\n"
    for place, program in (("/var/answer.py", script), ("/var/protocol.py", caller)):
        bench.ssh(f"cat > {place}", input=program)
    said = bench.ssh(f"PYTHONPATH={_SITE} python3 /var/protocol.py")
    assert said.stdout == "{'pydantic': '2.9.9', 'volumes': [1, 3]} 1.10.12\n", said.stderr


def test_a_host_whose_key_is_unknown_is_never_trusted(bench: Bench, tmp_path: Path) -> None:
    config = tmp_path / "ssh_config"
    text = bench.simulation.ssh_config.read_text()
    known = bench.simulation.ssh_config.with_name("known_hosts")
    config.write_text(
        text.replace(str(known), str(tmp_path / "empty")).replace("Checking yes", "Checking no")
    )
    words = ["list", "--ssh-config", str(config), "--robot", ALIAS]
    refused = subprocess.run([_CROSSWHEEL, *words], capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert f"the host key of {ALIAS} is not known" in refused.stderr
    assert not (tmp_path / "empty").exists()


def test_a_host_whose_key_has_changed_is_never_trusted(bench: Bench, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
    known = bench.simulation.ssh_config.with_name("known_hosts")
    host, (kind, key) = known.read_text().split()[0], (tmp_path / "other.pub").read_text().split()[:2]
    (tmp_path / "known").write_text(f"{host} {kind} {key}\n")
    config = tmp_path / "ssh_config"
    config.write_text(bench.simulation.ssh_config.read_text().replace(str(known), str(tmp_path / "known")))
    refused = bench._run(["list", "--ssh-config", str(config), "--robot", ALIAS])
    assert refused.returncode == 1
    assert f"{ALIAS} has another host key than before" in refused.stderr


def test_a_wrong_key_is_explained(bench: Bench, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
    config = tmp_path / "ssh_config"
    key = bench.simulation.ssh_config.with_name("key")
    config.write_text(bench.simulation.ssh_config.read_text().replace(str(key), str(tmp_path / "other")))
    words = ["list", "--ssh-config", str(config), "--robot", ALIAS]
    refused = subprocess.run([_CROSSWHEEL, *words], capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert f"{ALIAS} does not let us in" in refused.stderr


def test_one_robot_that_fails_does_not_stop_the_others(bench: Bench, tmp_path: Path) -> None:
    robots = tmp_path / "robots.txt"
    robots.write_text(f"# the lab\n127.0.0.1\n{ALIAS}\n")
    config = str(bench.simulation.ssh_config)
    done = bench.local("deploy", "greeter", "--ssh-config", config, "--robots", str(robots), "--port", "9")
    assert done.returncode == 1
    done = bench.local("deploy", "greeter", "--ssh-config", config, "--robots", str(robots))
    assert done.returncode == 1
    rows = {line.split()[0]: line.split()[-1] for line in done.stdout.splitlines()}
    assert (rows["127.0.0.1"], rows[ALIAS]) == ("failed", "active")
    assert bench.ssh("greeter").returncode == 0


def test_two_versions_lie_beside_each_other_under_names_of_their_own(bench: Bench) -> None:
    assert bench.deploy("greeter==1.0").returncode == 0
    beside = bench.deploy("greeter==2.0", "--name", "tea", "--test", "greeter")
    assert beside.returncode == 0, beside.stderr
    assert bench.ssh("greeter; tea; tea-python -c 'import greeter; greeter.main()'").stdout.splitlines() == [
        "greeter 1.0 with pydantic 2.9.9",
        *["greeter 2.0 with pydantic 2.9.9"] * 2,
    ]
    assert bench.crosswheel("remove", "greeter").returncode == 0
    assert bench.ssh("tea").stdout == "greeter 2.0 with pydantic 2.9.9\n"


def test_a_name_or_a_test_that_cannot_be_is_refused_before_anything_is_sent(bench: Bench) -> None:
    for words, said in (
        (["--name", "../tea"], "'../tea' is not a valid name of an environment"),
        (["--test", "greeet --me"], "there is no command 'greeet'"),
    ):
        refused = bench.deploy("greeter==1.0", *words)
        assert refused.returncode == 2
        assert said in refused.stderr
        assert "sending" not in refused.stdout
    refused = bench.crosswheel("verify", "../tea")
    assert refused.returncode == 2
    assert "'../tea' is not a valid name of an environment" in refused.stderr


def test_user_port_and_identity_are_taken_from_the_command_line(bench: Bench, tmp_path: Path) -> None:
    config = tmp_path / "ssh_config"
    config.write_text(f"UserKnownHostsFile {bench.simulation.ssh_config.with_name('known_hosts')}\n")
    key = bench.simulation.ssh_config.with_name("key")
    login = ["--user", "root", "--identity", str(key), "--port", str(bench.simulation.port)]
    done = bench.local("deploy", "greeter==1.0", "--robot", "127.0.0.1", "--ssh-config", str(config), *login)
    assert done.returncode == 0, done.stderr
    assert bench.ssh("greeter").stdout == "greeter 1.0 with pydantic 2.9.9\n"


def test_too_little_space_is_said_before_anything_is_sent(bench: Bench) -> None:
    bench.offer("3.0", payload=60_000_000)
    refused = bench.deploy("greeter==3.0")
    assert refused.returncode == 1
    assert "have to stay free" in refused.stderr
    assert "sending" not in refused.stdout
    assert bench.ssh("ls /var/user-packages/crosswheel").stdout.split() == ["lock"]


def test_a_disk_that_becomes_full_meanwhile_loses_nothing(bench: Bench) -> None:
    assert bench.deploy("greeter==1.0").returncode == 0
    bench.offer("4.0", payload=30_000_000)
    target = targets.load("ot2")
    wanted, wheels = chosen("greeter==4.0", bench.folder / "packages", bench.folder / "dist", target)
    release = assembler_for(target, Settings.from_environment()).release(wanted, wheels, "greeter")
    robot = targets.robot_of(target)
    with Connection(Address(ALIAS, config=bench.simulation.ssh_config)) as connection:
        connection.ask("open", store=robot.store, programs=robot.programs)
        connection.ask("hold")
        unknown = connection.ask("offer", release=release.offer)["packages"]
        lacking = connection.ask("plan", files=release.lists(unknown))["lacking"]
        # The robot had the space when it was asked, and has lost it when the bytes come.
        bench.ssh("dd if=/dev/zero of=/var/filler bs=1M")
        with pytest.raises(StorageError, match="the disk became full"):
            connection.send_files(release.parts(lacking), lambda count: None)
    bench.ssh("rm /var/filler")
    kept = bench.ssh("ls -A /var/user-packages/crosswheel/packages | wc -l").stdout.split()
    assert kept == ["3"]  # the program, what it needs, its launchers; nothing of the version that did not fit
    assert bench.ssh("greeter").stdout == "greeter 1.0 with pydantic 2.9.9\n"


@pytest.mark.parametrize("seconds", [0.5, 1.5, 2.5, 3.5, 5.0])
def test_a_connection_that_is_cut_at_any_moment_leaves_a_whole_version(bench: Bench, seconds: float) -> None:
    assert bench.deploy("greeter==1.0").returncode == 0
    bench.offer("5.0", payload=5_000_000)
    words = ["deploy", "greeter==5.0", *bench.trees]
    where = ["--ssh-config", str(bench.simulation.ssh_config), "--robot", ALIAS]
    child = subprocess.Popen(
        [_CROSSWHEEL, *words, *where],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    assert bench.ssh("greeter").stdout in (
        "greeter 1.0 with pydantic 2.9.9\n",
        "greeter 5.0 with pydantic 2.9.9\n",
    )
    bench.ssh("while pidof python3 >/dev/null; do :; done")  # the agent of the cut connection ends by itself
    again = bench.deploy("greeter==5.0")
    assert again.returncode == 0, again.stderr
    assert bench.ssh("greeter").stdout == "greeter 5.0 with pydantic 2.9.9\n"


def test_a_bundle_installs_without_any_network_and_refuses_a_changed_byte(
    bench: Bench, tmp_path: Path
) -> None:
    bundle = tmp_path / "greeter.pyz"
    made = bench.local("bundle", "greeter==1.0", "--output", str(bundle))
    assert made.returncode == 0, made.stderr
    _copy(bundle, bench, "/var/greeter.pyz")
    installed = bench.ssh("unshare -n python3 /var/greeter.pyz install || python3 /var/greeter.pyz install")
    assert installed.returncode == 0, installed.stderr
    assert bench.ssh("greeter").stdout == "greeter 1.0 with pydantic 2.9.9\n"
    data = bytearray(bundle.read_bytes())
    data[len(data) // 2] ^= 1
    bundle.write_bytes(data)
    _copy(bundle, bench, "/var/greeter.pyz")
    assert bench.ssh("python3 /var/greeter.pyz install").returncode != 0
    assert bench.ssh("greeter").stdout == "greeter 1.0 with pydantic 2.9.9\n"
    bench.ssh("rm /var/greeter.pyz")


@pytest.fixture
def offered(bench: Bench, tmp_path: Path) -> Path:
    """Give a tree of wheels that has the program once."""
    shutil.copytree(bench.folder / "dist" / "greeter" / "1.0", tmp_path / "dist/greeter/1.0")
    shutil.copytree(bench.folder / "dist" / "pydantic", tmp_path / "dist/pydantic")
    return tmp_path / "dist"


def _with_bundle(bench: Bench, dist: Path) -> Path:
    """Add the bundle wheel; return the folder of an index of all."""
    recipes = ["--recipes", str(bench.folder / "packages"), "--dist-tree-root", str(dist)]
    made = bench._run(["bundle", "greeter==1.0", "--wheel", *recipes])
    assert made.returncode == 0, made.stderr
    write_site(dist, dist.with_name("index"))
    return dist.with_name("index")


def test_plain_pip_fails_beside_the_image_without_the_bundle_wheel(bench: Bench, offered: Path) -> None:
    write_site(offered, offered.with_name("index"))
    with serving(offered.with_name("index")) as server:
        failed = bench.ssh(f"pip install greeter --index-url {server.url}/simple/")
    assert failed.returncode != 0
    assert "Read-only file system" in failed.stderr


@pytest.mark.parametrize("requirement", ["greeter", "greeter==1.0"])
def test_plain_pip_installs_a_program_that_works_and_removes_it(
    bench: Bench, offered: Path, requirement: str
) -> None:
    with serving(_with_bundle(bench, offered)) as server:
        done = bench.ssh(f"pip install {requirement} --index-url {server.url}/simple/")
    assert done.returncode == 0, done.stderr
    assert "Successfully installed greeter-1.0+ot2" in done.stdout
    assert bench.ssh("greeter").stdout == "greeter 1.0 with pydantic 2.9.9\n"
    script = "echo 'import pydantic, sys; print(pydantic.VERSION, sys.prefix)' > /var/script.py"
    said = bench.ssh(f"{script}; PYTHONPATH={_SITE} greeter-python /var/script.py")
    assert said.stdout == "2.9.9 /var/user-packages/usr/lib/crosswheel/greeter\n", said.stderr
    seen = bench.ssh("python3 -c 'import greeter'")
    assert "No module named 'greeter'" in seen.stderr  # nothing of it is on the image's path
    removed = bench.ssh("pip uninstall -y greeter")
    assert removed.returncode == 0, removed.stderr
    assert "not found" in bench.ssh("greeter").stderr


def test_an_environment_of_its_own_has_the_ordinary_wheels_though_the_bundle_is_offered(
    bench: Bench, offered: Path
) -> None:
    with serving(_with_bundle(bench, offered)) as server:
        script = f"wget -qO- {server.url}/install.sh | sh -s -- {server.url} greeter==1.0 /var/by-script"
        isolated = bench.ssh(script)
    assert isolated.returncode == 0, isolated.stderr
    assert bench.ssh("/var/by-script/bin/greeter").stdout == "greeter 1.0 with pydantic 2.9.9\n"
    said = bench.ssh("/var/by-script/bin/python -c 'import greeter; print(greeter.__file__)'").stdout
    assert said == "/var/by-script/lib/python3.10/site-packages/greeter.py\n"
    bench.ssh("rm -rf /var/by-script")


def test_preflight_names_what_a_plain_installation_would_break(bench: Bench) -> None:
    shown = bench.crosswheel("preflight", "greeter==1.0", *bench.trees)
    assert shown.returncode == 0, shown.stderr
    (row,) = [line for line in shown.stdout.splitlines() if line.startswith("pydantic")]
    assert row.split()[:4] == ["pydantic", "2.9.9", "1.10.12", "yes"]
    assert re.search(r"On the robot: [\d.]+ MB in \d+ files, of which [\d.]+ MB are new", shown.stdout)
    assert re.search(r"It will take about \d+ s by Wi-Fi, \d+ s by cable", shown.stdout)
    assert bench.ssh("ls /var/user-packages").returncode != 0
    described = bench.local("preflight", "greeter==1.0", "--image", "ot2")
    assert row in described.stdout.splitlines(), described.stderr


def test_a_robot_without_systemd_is_told_so(bench: Bench) -> None:
    assert bench.deploy("greeter==1.0").returncode == 0
    where = ["--ssh-config", str(bench.simulation.ssh_config), "--robot", ALIAS]
    refused = bench._run(["service", *where, "greeter", "--pool", "lab"])
    assert refused.returncode == 1
    assert "has no systemd" in refused.stderr
    assert bench.ssh("ls /var/data/boot.d").stdout == ""


def test_another_kind_of_robot_is_refused(bench: Bench, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    shipped = Path(targets.__file__).with_name("data") / "ot2.toml"
    other.write_text(shipped.read_text().replace('machine = "armv7l"', 'machine = "armv6l"', 1))
    refused = bench.deploy("greeter==1.0", "--target", str(other))
    assert refused.returncode == 1
    assert "it is an armv7l, not an armv6l" in refused.stderr, json.dumps(refused.stderr)


def _copy(source: Path, bench: Bench, place: str) -> None:
    words = ["ssh", "-F", str(bench.simulation.ssh_config), ALIAS, f"cat > {place}"]
    with source.open("rb") as stream:
        subprocess.run(words, stdin=stream, check=True)


def test_a_project_is_sent_once_and_then_only_what_changed(bench: Bench) -> None:
    """Each deployment of a folder builds what changed; the robot is sent the files that it lacks, and no others."""
    folder = write_tree(bench.folder / "robotlab", own_project("robotlab"))
    unchanging = "\n".join(f"number_{number} = {number**9}" for number in range(5000))
    (folder / "robotlab_tables.py").write_text(unchanging)
    first = bench.deploy("./robotlab", "--as-of", "2025-04-25")
    assert first.returncode == 0, first.stdout + first.stderr
    assert bench.ssh("robotlab").stdout == "robotlab 1.0\n"
    none, for_the_agent = _files_and_bytes(bench.deploy("./robotlab", "--as-of", "2025-04-25").stdout)
    assert none == 0
    module = folder / "robotlab.py"
    module.write_text(module.read_text().replace("1.0", "one"))
    changed = bench.deploy("./robotlab", "--as-of", "2025-04-25")
    files, size = _files_and_bytes(changed.stdout)
    assert bench.ssh("robotlab").stdout == "robotlab one\n"
    assert 0 < files < 6
    assert size - for_the_agent < 10_000


def _files_and_bytes(table: str) -> tuple[int, float]:
    """Return how many files a deployment sent, and how many bytes, as its table tells."""
    row = next(line for line in table.splitlines() if "active" in line)
    found = re.search(r" (\d+) +([\d.]+) (B|kB|MB) ", row)
    assert found, row
    return int(found[1]), float(found[2]) * {"B": 1, "kB": 1e3, "MB": 1e6}[found[3]]
