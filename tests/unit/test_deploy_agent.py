"""What the agent on the robot promises, whatever happens to it; it runs here as it does there."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import MAGIC_NUMBER
from pathlib import Path
from types import SimpleNamespace

import pytest

from crosswheel.agent import disk, machine, packages
from crosswheel.agent.manifest import digest_of_package
from crosswheel.agent.packages import Packages
from crosswheel.deploy import ssh
from crosswheel.deploy.bundles import form_of, write_archive, write_program
from crosswheel.deploy.carried import Agent, agent_for, compile_agent
from crosswheel.deploy.deploying import Deployed, deploy, rehearse
from crosswheel.deploy.preflight import image_changes
from crosswheel.deploy.release import Package, Release
from crosswheel.deploy.ssh import Connection
from crosswheel.errors import (
    CheckFailed,
    CrosswheelError,
    IntegrityError,
    NetworkError,
    StorageError,
    TargetError,
    UsageError,
)
from crosswheel.process import Runner
from crosswheel.targets import LearnedUserland
from support.releases import SITE, Here, place, release, says, this_machine

needs_zstd = pytest.mark.skipif(shutil.which("zstd") is None, reason="there is no zstd on PATH")


def put(version: Release, robot: Path) -> Deployed:
    with Connection(Here()) as connection:
        return deploy(version, place(robot), connection, lambda text: None)


def ask(robot: Path, do: str, **values: object) -> object:
    with Connection(Here()) as connection:
        connection.ask("open", store=place(robot).store, programs=place(robot).programs)
        return connection.ask(do, **values)


def test_what_is_deployed_runs_and_an_update_takes_its_place(tmp_path: Path) -> None:
    robot = tmp_path / "robot"
    put(release(tmp_path, "1"), robot)
    assert says(robot) == "hello 1"
    put(release(tmp_path, "2"), robot)
    assert says(robot) == "hello 2"


def test_only_what_the_robot_lacks_is_sent(tmp_path: Path) -> None:
    robot = tmp_path / "robot"
    assert put(release(tmp_path, "1"), robot).files == 5
    assert put(release(tmp_path, "2"), robot).files == 1
    assert put(release(tmp_path, "2"), robot).files == 0


def test_a_file_that_several_versions_have_takes_space_once(tmp_path: Path) -> None:
    robot = tmp_path / "robot"
    put(release(tmp_path, "1"), robot)
    put(release(tmp_path, "2"), robot)
    shared = list((robot / "store").glob(f"environments/hello/releases/*/{SITE}/other/part0.py"))
    assert len(shared) == 2
    assert shared[0].samefile(shared[1])


def test_going_back_makes_the_version_before_the_active_one(tmp_path: Path) -> None:
    robot = tmp_path / "robot"
    put(release(tmp_path, "1"), robot)
    put(release(tmp_path, "2"), robot)
    ask(robot, "rollback", name="hello")
    assert says(robot) == "hello 1"
    with pytest.raises(UsageError, match="no version of hello to go back to"):
        ask(robot, "rollback", name="hello")


def test_after_going_back_the_next_version_can_be_undone_too(tmp_path: Path) -> None:
    robot = tmp_path / "robot"
    put(release(tmp_path, "1"), robot)
    put(release(tmp_path, "2"), robot)
    ask(robot, "rollback", name="hello")
    put(release(tmp_path, "3"), robot)
    ask(robot, "rollback", name="hello")
    assert says(robot) == "hello 1"


def test_of_old_versions_only_the_one_before_is_kept(tmp_path: Path) -> None:
    robot = tmp_path / "robot"
    for version in ("1", "2", "3"):
        put(release(tmp_path, version), robot)
    listed = ask(robot, "list")
    assert isinstance(listed, dict)
    assert [(row["version"], row["active"]) for row in listed["environments"]] == [("2", False), ("3", True)]
    assert len(list((robot / "store/environments/hello/releases").iterdir())) == 2


def test_a_version_that_fails_its_test_never_becomes_active(tmp_path: Path) -> None:
    robot = tmp_path / "robot"
    put(release(tmp_path, "1"), robot)
    with pytest.raises(CheckFailed, match="no_such_module"):
        put(release(tmp_path, "2", test="import no_such_module"), robot)
    assert says(robot) == "hello 1"
    assert len(list((robot / "store/environments/hello/releases").iterdir())) == 1


def test_a_first_version_that_fails_its_test_leaves_nothing(tmp_path: Path) -> None:
    robot = tmp_path / "robot"
    with pytest.raises(CheckFailed):
        put(release(tmp_path, "1", test="import no_such_module"), robot)
    assert says(robot) is None
    assert not (robot / "store/environments").exists()


def test_removing_leaves_no_trace_of_it(tmp_path: Path) -> None:
    robot = tmp_path / "robot"
    put(release(tmp_path, "1"), robot)
    ask(robot, "remove", name="hello")
    assert [path.name for path in (robot / "store").iterdir()] == ["lock"]
    assert list((robot / "programs").iterdir()) == []


def test_what_others_put_on_the_path_is_never_replaced(tmp_path: Path) -> None:
    robot = tmp_path / "robot"
    (robot / "programs").mkdir(parents=True)
    (robot / "programs/hello").write_text("somebody else's")
    with pytest.raises(UsageError, match="is there already, and is not of hello"):
        put(release(tmp_path, "1"), robot)
    assert (robot / "programs/hello").read_text() == "somebody else's"
    assert not (robot / "store/packages").exists()


def test_verifying_finds_a_changed_a_missing_and_an_executable_file(tmp_path: Path) -> None:
    robot = tmp_path / "robot"
    put(release(tmp_path, "1", more={f"{SITE}/a.py": b"a", f"{SITE}/b.py": b"b"}), robot)
    assert ask(robot, "verify", name="hello") == {"faults": []}
    site = robot / "store/environments/hello/current" / SITE
    (site / "a.py").chmod(0o755)
    (site / "b.py").unlink()
    (site / "hello.py").chmod(0o644)
    (site / "hello.py").write_text("changed")
    faults = ask(robot, "verify", name="hello")
    assert isinstance(faults, dict)
    assert [fault.rpartition("/")[2] for fault in faults["faults"]] == [
        "a.py: its permissions have changed",
        "hello.py: its bytes have changed",
        "b.py: it is gone",
    ]


def test_verifying_finds_that_the_interpreter_is_gone(tmp_path: Path) -> None:
    robot = tmp_path / "robot"
    put(release(tmp_path, "1"), robot)
    (robot / "store/environments/hello/current/bin/python3").unlink()
    assert ask(robot, "verify", name="hello") == {
        "faults": ["bin/python3: it is gone", "bin/python: it is gone"]
    }


def test_verifying_finds_a_launcher_that_is_gone_and_deploying_brings_it_back(tmp_path: Path) -> None:
    robot = tmp_path / "robot"
    put(release(tmp_path, "1"), robot)
    (robot / "programs/hello").unlink()
    faults = ask(robot, "verify", name="hello")
    assert isinstance(faults, dict)
    assert "the launcher is gone" in faults["faults"][0]
    put(release(tmp_path, "1"), robot)
    assert says(robot) == "hello 1"


def test_a_64_bit_kernel_below_32_bit_programs_is_that_of_a_32_bit_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for bits, expected in ((64, "aarch64"), (32, "armv7l")):
        python = SimpleNamespace(maxsize=2 ** (bits - 1) - 1, version_info=sys.version_info)
        kernel = SimpleNamespace(uname=lambda: SimpleNamespace(machine="aarch64"), confstr_names=())
        monkeypatch.setattr(machine, "sys", python)
        monkeypatch.setattr(machine, "os", kernel)
        assert machine.about_this_machine()["machine"] == expected


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"machine": "z80"}, "not an z80"),
        ({"python": {"version": "3.2.1"}}, "not 3.2"),
        ({"python": {"soabi": "cpython-310-arm-linux-gnueabihf"}}, "not cpython-310-arm-linux-gnueabihf"),
        ({"abi": {"glibc": "9.9"}}, "not glibc 9.9 or newer"),
        ({"abi": {"glibc": "", "musl": "9.9"}}, "not musl 9.9 or newer"),
    ],
)
def test_a_machine_that_is_not_the_target_is_refused_with_the_reason(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    target = this_machine()
    for name, value in changes.items():
        part = getattr(target, name).model_copy(update=value) if isinstance(value, dict) else value
        target = target.model_copy(update={name: part})
    with pytest.raises(TargetError, match=said):
        put(release(tmp_path, "1", target=target), tmp_path / "robot")
    assert not (tmp_path / "robot/store/environments").exists()


def test_too_little_space_is_said_before_anything_is_sent(tmp_path: Path) -> None:
    with Connection(Here()) as connection:
        robot = place(tmp_path / "robot")
        connection.ask("open", store=robot.store, programs=robot.programs)
        files = [("large.bin", "0" * 64, 1 << 50, False)]
        digest = digest_of_package("large", "1", files)
        offered = release(tmp_path, "1").offer
        offered["packages"] = [{"name": "large", "version": "1", "digest": digest}]
        connection.ask("offer", release=offered)
        with pytest.raises(StorageError, match=r"it needs 1125899906.9 MB and 33.6 MB have to stay free"):
            connection.ask("plan", files={digest: files})


def test_a_second_deployment_at_the_same_time_is_told_so(tmp_path: Path) -> None:
    robot = tmp_path / "robot"
    with Connection(Here()) as first:
        first.ask("open", store=place(robot).store, programs=place(robot).programs)
        first.ask("hold")
        with pytest.raises(UsageError, match="another deployment to this robot is under way"):
            put(release(tmp_path, "1"), robot)
    put(release(tmp_path, "1"), robot)


def test_asking_what_a_deployment_would_do_changes_nothing(tmp_path: Path) -> None:
    with Connection(Here()) as connection:
        found = rehearse(release(tmp_path, "1"), place(tmp_path / "robot"), connection)
    assert found.size > 0
    ask = "import site; from importlib.metadata import distributions as d; found = d(path=site.getsitepackages()); "
    ask += "print(len({item.metadata['Name'].lower().replace('_', '-').replace('.', '-') for item in found}))"
    own = [sys.executable, "-I", "-S", "-c", ask]
    assert len(found.image) == int(subprocess.run(own, capture_output=True, text=True, check=True).stdout)
    assert not (tmp_path / "robot").exists()


def test_the_packages_of_a_distribution_are_told_from_its_own_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local, own = tmp_path / "local" / "dist-packages", tmp_path / "dist-packages"
    for folder in (
        local / "demo-2.0.dist-info",
        own / "demo-1.0.dist-info",
        own / "PyYAML-6.0.egg-info",
        own / "Sea.Horse-1.16.0-py3.11.egg-info",
        own / "unnumbered.egg-info",
    ):
        folder.mkdir(parents=True)
    monkeypatch.setattr("site.getsitepackages", lambda: [str(local), str(own), str(tmp_path / "absent")])
    assert machine.image_packages() == {"demo": "2.0", "pyyaml": "6.0", "sea-horse": "1.16.0"}


def test_a_package_of_the_image_that_was_updated_is_told_with_both_versions() -> None:
    own = this_machine()
    userland = LearnedUserland(digest="0" * 64, python="/usr/bin/python3", system="Demo 1.0")
    packages = {"Sea.Horse": "1.0", "same": "1", "gone": "1"}
    image = own.image.model_copy(update={"packages": packages})
    learned = own.model_copy(update={"userland": userland, "image": image})
    machine = {"system": "Demo 1.0", "glibc": own.abi.glibc, "python": own.python.version}
    changes = image_changes(learned, machine, {"sea_horse": "2.0", "same": "1"})
    assert changes == ["Sea.Horse 1.0 → 2.0"]
    assert image_changes(own, machine, {"sea_horse": "2.0"}) == []


def test_an_image_that_was_updated_since_it_was_learned_is_told_with_what_to_do(tmp_path: Path) -> None:
    own, robot = this_machine(), place(tmp_path / "robot")
    with Connection(Here()) as connection:
        told = connection.ask("open", store=robot.store, programs=robot.programs)
        image = rehearse(release(tmp_path, "1"), robot, connection).image

    def warnings(system: str, packages: Mapping[str, str], glibc: str) -> tuple[str, ...]:
        changes = {
            "userland": LearnedUserland(digest="0" * 64, python="/usr/bin/python3", system=system),
            "image": own.image.model_copy(update={"packages": packages}),
            "abi": own.abi.model_copy(update={"glibc": glibc}),
        }
        learned = release(tmp_path, "1", target=own.model_copy(update=changes))
        with Connection(Here()) as connection:
            assert rehearse(learned, robot, connection).warnings == put(learned, tmp_path / "robot").warnings
            return put(learned, tmp_path / "robot").warnings

    assert told["system"]
    assert warnings(told["system"], image, told["glibc"]) == ()
    # A distribution's own Python, such as a plain user has, keeps its packages elsewhere: of those, the test above.
    some = dict([*image.items()][:1])
    (warning,) = warnings("Demo 1.0", {**image, **dict.fromkeys(some, "0.1"), "only-learned": "1"}, "2.17")
    changes = [f"its system Demo 1.0 → {told['system']}", f"library 2.17 → {told['glibc']}"]
    changes += [f"{name} 0.1 → {version}" for name, version in some.items()]
    for change in changes:
        assert change in warning
    assert "its Python" not in warning
    assert f"crosswheel target update {own.name} --robot HOST" in warning


def test_a_list_of_files_that_is_not_what_was_promised_is_refused(tmp_path: Path) -> None:
    made, robot = release(tmp_path, "1"), place(tmp_path / "robot")
    with Connection(Here()) as connection:
        connection.ask("open", store=robot.store, programs=robot.programs)
        unknown = connection.ask("offer", release=made.offer)["packages"]
        files = made.lists(unknown)
        files[unknown[0]][0] = ("../../outside", *files[unknown[0]][0][1:])
        with pytest.raises(IntegrityError, match="not what was promised"):
            connection.ask("plan", files=files)


def test_bytes_that_changed_on_the_way_are_refused_and_the_connection_goes_on(tmp_path: Path) -> None:
    robot, made = tmp_path / "robot", release(tmp_path, "1")
    with Connection(Here()) as connection:
        connection.ask("open", store=place(robot).store, programs=place(robot).programs)
        unknown = connection.ask("offer", release=made.offer)["packages"]
        lacking = made.parts(connection.ask("plan", files=made.lists(unknown))["lacking"])
        (tmp_path / "1/hello" / SITE / "hello.py").write_bytes(b"print('hello X')\n")
        with pytest.raises(IntegrityError, match="a file came with the hash"):
            connection.send_files(lacking, lambda count: None)
        assert connection.ask("list") == {"environments": []}


def test_what_is_kept_packed_is_sent_as_it_is_and_refused_where_it_is_damaged(tmp_path: Path) -> None:
    made = release(tmp_path, "1")
    for package in made.packages:
        package.pack()
    put(made, tmp_path / "robot")
    assert says(tmp_path / "robot") == "hello 1"
    packed = made.packages[1].packed
    data = packed.read_bytes()
    for damaged in (data[:40], data[:40] + b"X" + data[41:]):
        packed.write_bytes(damaged)
        with pytest.raises(IntegrityError):
            put(made, tmp_path / "other")
        assert says(tmp_path / "other") is None


def test_of_a_package_that_changed_only_what_changed_is_sent_though_all_of_it_is_kept_packed(
    tmp_path: Path,
) -> None:
    robot, noise = tmp_path / "robot", {f"{SITE}/noise.bin": os.urandom(100_000)}
    versions = [release(tmp_path, version, more=noise) for version in ("1", "2")]
    for package in [package for made in versions for package in made.packages]:
        package.pack()
    assert put(versions[0], robot).sent > 100_000
    assert put(versions[1], robot).sent < 100_000
    assert says(robot) == "hello 2"


def test_a_robot_takes_the_compiled_agent_only_if_its_python_does(tmp_path: Path) -> None:
    compile_agent("3", tmp_path, [sys.executable], Runner())
    compiled = agent_for("3", tmp_path).compiled
    assert compiled.startswith(MAGIC_NUMBER)
    broken = compiled[:4] + b"broken"
    store = {"store": str(tmp_path), "programs": str(tmp_path)}
    for agent in (Agent(compiled), Agent(b"none" + broken[4:]), agent_for("2", tmp_path)):
        with Connection(Here(), agent) as connection:
            assert connection.ask("open", **store)["machine"] == this_machine().machine
    with Connection(Here(), Agent(broken)) as connection, pytest.raises(NetworkError):
        connection.ask("open", **store)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_an_interrupted_transfer_goes_on_where_it_stopped(tmp_path: Path, share: float) -> None:
    robot = tmp_path / "robot"
    noise = {f"{SITE}/noise{number}.bin": os.urandom(100_000) for number in range(10)}
    made = release(tmp_path, "1", more=noise)
    with Connection(Here()) as connection:
        connection.ask("open", store=place(robot).store, programs=place(robot).programs)
        connection.ask("hold")
        unknown = connection.ask("offer", release=made.offer)["packages"]
        lacking = made.parts(connection.ask("plan", files=made.lists(unknown))["lacking"])
        stream = b"".join(data for part in lacking for data, _ in part.stream())
        connection._send(zlib.compress(json.dumps({"do": "receive"}).encode()))
        connection._send(stream[: int(len(stream) * share) + 1])
        connection._flush()
    assert says(robot) is None
    again = put(made, robot)
    the_cut_file, all_else = 100_000, len(Agent().stream) + 5_000
    assert again.sent <= len(stream) * (1 - share) + the_cut_file + all_else
    assert says(robot) == "hello 1"
    assert ask(robot, "verify", name="hello") == {"faults": []}


def ends(bundle: Path, before: Path) -> list[tuple[str | None, str]]:
    """Install a bundle, ended before each of its changes; return what is whole then, and after another try."""
    words = [sys.executable, "-m", "support.crashes", str(bundle), str(before)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1])
    assert done.returncode == 0, done.stderr
    return [(after, again) for after, again in json.loads(done.stdout)]


def test_whenever_the_agent_dies_the_robot_has_the_old_version_or_the_new(tmp_path: Path) -> None:
    robot, bundle, before = tmp_path / "robot", tmp_path / "hello.pyz", tmp_path / "before"
    target = this_machine().model_copy(update={"robot": place(robot)})
    put(release(tmp_path, "1"), robot)
    shutil.copytree(robot, before, symlinks=True)
    write_program(release(tmp_path, "2", test=None, target=target), bundle)
    found = ends(bundle, before)
    assert len(found) > 20
    assert {after for after, _ in found} == {"1", "2"}
    assert {again for _, again in found} == {"2"}


def test_a_first_installation_that_dies_leaves_no_program_or_a_whole_one(tmp_path: Path) -> None:
    robot, bundle, before = tmp_path / "robot", tmp_path / "hello.pyz", tmp_path / "before"
    target = this_machine().model_copy(update={"robot": place(robot)})
    before.mkdir()
    robot.mkdir()
    write_program(release(tmp_path, "1", test=None, target=target), bundle)
    found = ends(bundle, before)
    assert {after for after, _ in found} == {None, "1"}
    assert {again for _, again in found} == {"1"}


def bundled(bundle: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, bundle, *words], capture_output=True, text=True, check=False)


def test_a_bundle_installs_lists_verifies_and_removes_itself(tmp_path: Path) -> None:
    robot, bundle = tmp_path / "robot", tmp_path / "hello.pyz"
    target = this_machine().model_copy(update={"robot": place(robot)})
    write_program(release(tmp_path, "1", target=target), bundle)
    assert bundled(bundle, "install").returncode == 0
    assert says(robot) == "hello 1"
    assert bundled(bundle, "list").stdout == "hello 1 (active)\n"
    assert bundled(bundle, "verify").returncode == 0
    assert bundled(bundle, "remove").returncode == 0
    assert says(robot) is None


def test_a_bundle_with_a_changed_byte_is_refused_wherever_it_is(tmp_path: Path) -> None:
    robot, bundle = tmp_path / "robot", tmp_path / "hello.pyz"
    target = this_machine().model_copy(update={"robot": place(robot)})
    write_program(release(tmp_path, "1", target=target), bundle)
    data = bundle.read_bytes()
    start = data.index(b"release.json")
    for position in (start, start + 100, len(data) // 2, len(data) - 200, len(data) - 1):
        changed = bytearray(data)
        changed[position] ^= 1
        bundle.write_bytes(changed)
        assert bundled(bundle, "install").returncode != 0, position
        assert not robot.exists()


def unpacked(folder: Path, robot: Path) -> Path:
    """Return a bundle that was an archive, unpacked."""
    target, archive = this_machine().model_copy(update={"robot": place(robot)}), folder / "hello.tar.zst"
    write_archive(release(folder, "1", target=target), "hello-1", archive, Runner(log=folder / "log.txt"))
    subprocess.run(["tar", "--zstd", "-xf", archive, "-C", folder], check=True)
    return folder / "hello-1"


@needs_zstd
def test_a_bundle_as_an_archive_does_the_same_once_it_is_unpacked(tmp_path: Path) -> None:
    robot = tmp_path / "robot"
    bundle = unpacked(tmp_path, robot)
    done = bundled(bundle, "install")
    assert done.returncode == 0, done.stderr
    assert says(robot) == "hello 1"
    assert bundled(bundle, "verify").returncode == 0


@needs_zstd
def test_an_unpacked_bundle_in_which_something_changed_or_is_missing_is_refused(tmp_path: Path) -> None:
    robot = tmp_path / "robot"
    bundle = unpacked(tmp_path, robot)
    largest = max((bundle / "files").iterdir(), key=lambda path: path.stat().st_size)
    for path in (bundle / "place.json", bundle / "release.json", bundle / "files.json", largest):
        data = path.read_bytes()
        path.write_bytes(data.replace(b"e", b"f", 1))
        refused = bundled(bundle, "install")
        assert refused.returncode == 2, refused.stderr
        path.unlink()
        missing = bundled(bundle, "install")
        assert missing.returncode == 2, missing.stderr
        assert f"{path.relative_to(bundle)} is missing" in missing.stderr
        path.write_bytes(data)
        assert says(robot) is None


def test_a_bundle_whose_name_tells_no_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no kind of bundle"):
        form_of(tmp_path / "hello.zip")


def test_the_same_release_gives_the_same_bundle(tmp_path: Path) -> None:
    target = this_machine().model_copy(update={"robot": place(tmp_path)})
    write_program(release(tmp_path / "a", "1", target=target), tmp_path / "a.pyz")
    write_program(release(tmp_path / "b", "1", target=target), tmp_path / "b.pyz")
    assert (tmp_path / "a.pyz").read_bytes() == (tmp_path / "b.pyz").read_bytes()


def test_a_dead_connection_frees_the_robot_and_is_explained(tmp_path: Path) -> None:
    robot = tmp_path / "robot"
    with Connection(Here()) as connection:
        connection.ask("open", store=place(robot).store, programs=place(robot).programs)
        connection.ask("hold")
        os.kill(connection._child.pid, signal.SIGKILL)
        with pytest.raises(NetworkError, match="the connection to here ended"):
            connection.ask("list")
    put(release(tmp_path, "1"), robot)


def test_a_program_in_an_environment_sees_nothing_of_the_image(tmp_path: Path) -> None:
    # The Python that runs the tests has pytest; the environment made of it must not.
    robot = tmp_path / "robot"
    test = "import importlib.util as u, sys; assert u.find_spec('pytest') is None, sys.path"
    put(release(tmp_path, "1", test=test), robot)


def test_an_unknown_request_is_a_defect_not_a_crash(tmp_path: Path) -> None:
    with Connection(Here()) as connection:
        with pytest.raises(CrosswheelError):
            connection.ask("verify", name="hello")
        connection.ask("open", store=str(tmp_path), programs=str(tmp_path))


SETTINGS = f"{SITE}/lab/settings.json"


def lab(folder: Path, version: str, name: str = "hello") -> Release:
    """Return a release that has a file which programs write to, the same in each version, as an environment."""
    more = {SETTINGS: b"{}", f"{SITE}/lab/__init__.py": f"version = {version!r}".encode()}
    made = release(folder, version, more=more, test=None)
    return made if name == made.name else replace(made, name=name, programs=())


def settings_of(robot: Path, name: str = "hello") -> Path:
    return robot / "store/environments" / name / "current" / SETTINGS


def program_writes(path: Path, text: str = "changed") -> None:
    """Write to a file in its place, as root may."""
    path.chmod(0o644)
    path.write_text(text)
    path.chmod(0o444)


def faults_of(robot: Path, name: str = "hello") -> list[str]:
    said = ask(robot, "verify", name=name)
    assert isinstance(said, dict)
    return list(said["faults"])


def test_what_a_program_changed_is_not_taken_into_the_next_version(tmp_path: Path) -> None:
    robot = tmp_path / "robot"
    put(lab(tmp_path, "1"), robot)
    program_writes(settings_of(robot))
    put(lab(tmp_path, "2"), robot)
    assert settings_of(robot).read_text() == "{}"
    assert faults_of(robot) == []


@pytest.mark.parametrize("how", ["written", "replaced", "removed", "a folder", "executable"])
def test_deploying_again_replaces_what_is_damaged(tmp_path: Path, how: str) -> None:
    robot = tmp_path / "robot"
    put(lab(tmp_path, "1"), robot)
    path = settings_of(robot)
    if how == "written":
        program_writes(path)
    elif how == "executable":
        path.chmod(0o755)
    else:
        path.unlink()
    if how == "replaced":
        path.write_text("changed")
    if how == "a folder":
        path.mkdir()
    assert len(faults_of(robot)) == 1
    again = put(lab(tmp_path, "1"), robot)
    assert (again.files, faults_of(robot)) == (1, [])
    assert settings_of(robot).read_text() == "{}"
    assert put(lab(tmp_path, "1"), robot).generation == again.generation


def test_what_other_environments_changed_or_have_is_as_it_was_after_a_deployment(tmp_path: Path) -> None:
    robot = tmp_path / "robot"
    put(lab(tmp_path, "1"), robot)
    put(lab(tmp_path, "1", "tea"), robot)
    program_writes(settings_of(robot, "tea"), "tea's")
    assert faults_of(robot) == [f"{SETTINGS}: its bytes have changed, for tea, too"]
    put(lab(tmp_path, "1"), robot)
    assert faults_of(robot) == []
    assert settings_of(robot, "tea").read_text() == "tea's"
    (fault,) = faults_of(robot, "tea")
    assert fault.startswith(f"{SETTINGS}: its bytes have changed")


def test_of_a_file_that_programs_change_each_environment_has_a_copy_of_its_own(tmp_path: Path) -> None:
    robot = tmp_path / "robot"
    put(lab(tmp_path, "1"), robot)
    program_writes(settings_of(robot))
    put(lab(tmp_path, "2"), robot)
    put(lab(tmp_path, "2", "tea"), robot)
    settings_of(robot).write_text("hello's")
    assert settings_of(robot, "tea").read_text() == "{}"
    assert (faults_of(robot), faults_of(robot, "tea")) == ([f"{SETTINGS}: its bytes have changed"], [])
    put(lab(tmp_path, "3"), robot)
    assert (settings_of(robot).read_text(), faults_of(robot)) == ("{}", [])
    program_writes(settings_of(robot), "hello's again")
    put(lab(tmp_path, "3", "tea"), robot)
    assert settings_of(robot, "tea").read_text() == "{}"


def test_what_a_program_adds_beside_itself_is_not_seen_by_other_environments_any_more(tmp_path: Path) -> None:
    robot = tmp_path / "robot"
    put(lab(tmp_path, "1"), robot)
    settings_of(robot).with_name("results.db").write_text("1")
    put(lab(tmp_path, "2"), robot)
    put(lab(tmp_path, "2", "tea"), robot)
    settings_of(robot).with_name("results.db").write_text("2")
    assert not settings_of(robot, "tea").with_name("results.db").exists()
    assert faults_of(robot) == []


def test_a_file_is_read_again_only_if_it_may_have_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    robot, read = tmp_path / "robot", []
    put(lab(tmp_path, "1"), robot)
    monkeypatch.setattr(packages, "_SETTLED_NS", -1)

    def reading(path: str) -> str:
        read.append(path.rpartition("/")[2])
        return disk.sha256_of(path)

    monkeypatch.setattr(packages, "sha256_of", reading)
    (place,) = {path.parents[5] for path in (robot / "store").glob(f"packages/*/files/{SETTINGS}")}

    def faults() -> tuple[dict[str, str], list[str]]:
        read.clear()
        looked = Packages(robot / "store/packages")
        found = looked.faults(place.name)
        looked.remember()
        return found, list(read)

    assert faults() == ({}, ["hello.py", "__init__.py", "settings.json"])
    assert faults() == ({}, [])
    before = settings_of(robot).stat()
    time.sleep(0.05)  # clocks tick; what may change between two ticks is read again
    program_writes(settings_of(robot), "[]")
    os.utime(settings_of(robot), ns=(before.st_atime_ns, before.st_mtime_ns))
    assert faults() == ({SETTINGS: "its bytes have changed"}, ["settings.json"])


def test_what_was_changed_lately_is_read_again_whatever_its_time(tmp_path: Path) -> None:
    put(lab(tmp_path, "1"), tmp_path / "robot")
    put(lab(tmp_path, "1"), tmp_path / "robot")
    kept = [json.loads(path.read_text()) for path in (tmp_path / "robot/store/packages").glob("*/seen.json")]
    assert all(stamp is None for stamps in kept for stamp in stamps)


@pytest.mark.parametrize("left", [b"", b"\0" * 4096, b"{}", b"[]"])
def test_a_release_that_lost_what_it_says_is_shown_as_damaged_and_mended(tmp_path: Path, left: bytes) -> None:
    robot = tmp_path / "robot"
    put(lab(tmp_path, "1"), robot)
    put(lab(tmp_path, "1", "tea"), robot)
    said = robot / "store/environments/hello/current/release.json"
    said.write_bytes(left)
    listed = ask(robot, "list")
    assert isinstance(listed, dict)
    assert [(row["name"], row["damaged"]) for row in listed["environments"]] == [
        ("hello", True),
        ("tea", False),
    ]
    assert "release.json: it is damaged" in faults_of(robot)[0]
    # Others are as free as ever, and what the damaged one has is not swept away.
    put(lab(tmp_path, "2", "tea"), robot)
    put(lab(tmp_path, "3", "tea"), robot)
    assert faults_of(robot, "tea") == []
    assert says(robot) == "hello 1"
    put(lab(tmp_path, "1"), robot)
    assert (says(robot), faults_of(robot)) == ("hello 1", [])


def test_a_damaged_release_can_be_removed_and_gone_back_from(tmp_path: Path) -> None:
    robot = tmp_path / "robot"
    put(release(tmp_path, "1"), robot)
    put(release(tmp_path, "2"), robot)
    (robot / "store/environments/hello/current/release.json").write_bytes(b"")
    ask(robot, "rollback", name="hello")
    assert says(robot) == "hello 1"
    (robot / "store/environments/hello/current/release.json").write_bytes(b"")
    ask(robot, "remove", name="hello")
    assert [path.name for path in (robot / "store").iterdir()] == ["lock"]


def test_a_package_that_lost_the_list_of_its_files_is_replaced(tmp_path: Path) -> None:
    robot = tmp_path / "robot"
    put(lab(tmp_path, "1"), robot)
    for path in (robot / "store/packages").glob("*/package.json"):
        path.write_bytes(b"")
    assert [fault.rpartition("/")[2] for fault in faults_of(robot)] == ["package.json: it is damaged"] * 3
    put(lab(tmp_path, "1"), robot)
    assert (says(robot), faults_of(robot)) == ("hello 1", [])


def test_text_that_is_printed_at_login_is_passed_over(tmp_path: Path) -> None:
    class Chatty(Here):
        def command(self, *words: str) -> list[str]:
            return ["sh", "-c", 'echo "Welcome! $0 $*"; exec "$@"', "sh", *super().command(*words)]

    with Connection(Chatty()) as connection:
        assert connection.ask("open", store=str(tmp_path), programs=str(tmp_path))["machine"]


@pytest.mark.parametrize("login", ["yes please", "echo Choose:; cat > /dev/null"])
def test_a_login_that_starts_no_program_is_explained(monkeypatch: pytest.MonkeyPatch, login: str) -> None:
    class Stuck(Here):
        def command(self, *words: str) -> list[str]:
            return ["sh", "-c", login]

    monkeypatch.setattr(ssh, "_START_SECONDS", 2.0)
    monkeypatch.setattr(ssh, "_PRINTED_BYTES", 1000)
    with (
        Connection(Stuck()) as connection,
        pytest.raises(NetworkError, match="starts no program, and the login"),
    ):
        connection.ask("open", store="/nowhere", programs="/nowhere")


def running(robot: Path) -> subprocess.Popen[bytes]:
    """Start what reads a file of its environment late; it is ready once this returns."""
    program = "print('ready', flush=True); input(); import other.part1; print(other.part1.number)"
    python = (robot / "store/environments/hello/current").resolve() / "bin/python3"
    child = subprocess.Popen([str(python), "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    return child


def versions(robot: Path) -> list[str]:
    listed = ask(robot, "list")
    assert isinstance(listed, dict)
    return [row["version"] for row in listed["environments"]]


def test_a_release_that_a_program_runs_from_is_kept_until_it_ends(tmp_path: Path) -> None:
    robot = tmp_path / "robot"
    put(release(tmp_path, "1"), robot)
    child = running(robot)
    for version in ("2", "3", "4"):
        put(release(tmp_path, version), robot)
    assert versions(robot) == ["1", "3", "4"]
    with pytest.raises(UsageError, match=rf"programs of hello are running \(process {child.pid}\)"):
        ask(robot, "remove", name="hello")
    assert child.communicate(b"\n")[0] == b"1\n"
    put(release(tmp_path, "5"), robot)
    assert versions(robot) == ["4", "5"]


def test_a_release_whose_launcher_was_called_is_kept_whatever_its_program_is_called(tmp_path: Path) -> None:
    robot = tmp_path / "robot"
    put(release(tmp_path, "1"), robot)
    current = (robot / "store/environments/hello/current").resolve()
    with (current / "pyvenv.cfg").open() as held:
        child = subprocess.Popen(["sleep", "1000"], pass_fds=[held.fileno()])
    put(release(tmp_path, "2"), robot)
    put(release(tmp_path, "3"), robot)
    assert versions(robot) == ["1", "2", "3"]
    child.kill()
    child.wait()


@pytest.mark.parametrize(
    ("keep", "kept"), [(0, ["4"]), (1, ["3", "4"]), (2, ["2", "3", "4"]), (9, ["1", "2", "3", "4"])]
)
def test_as_many_versions_are_kept_as_are_asked_for(tmp_path: Path, keep: int, kept: list[str]) -> None:
    robot = tmp_path / "robot"
    for version in ("1", "2", "3", "4"):
        with Connection(Here()) as connection:
            deploy(release(tmp_path, version), place(robot), connection, lambda text: None, keep=keep)
    assert versions(robot) == kept


def test_a_version_is_tried_before_it_is_gone_back_to(tmp_path: Path) -> None:
    robot = tmp_path / "robot"
    put(release(tmp_path, "1"), robot)
    put(release(tmp_path, "2"), robot)
    for path in (robot / "store").glob(f"environments/*/releases/*/{SITE}/hello.py"):
        if "hello 1" in path.read_text():
            program_writes(path, "raise SystemExit('broken')")
    with pytest.raises(CheckFailed, match="broken"):
        ask(robot, "rollback", name="hello")
    assert says(robot) == "hello 2"


def test_verifying_finds_a_launcher_that_was_replaced(tmp_path: Path) -> None:
    robot = tmp_path / "robot"
    put(release(tmp_path, "1"), robot)
    (robot / "programs/hello").unlink()
    (robot / "programs/hello").write_text("#!/bin/sh\necho somebody else\n")
    assert faults_of(robot) == [f"{robot}/programs/hello: it is not the launcher any more"]


def test_an_environment_tells_what_is_in_it(tmp_path: Path) -> None:
    robot = tmp_path / "robot"
    put(release(tmp_path, "1", more={"sbom.cdx.json": b"{}"}), robot)
    assert ask(robot, "sbom", name="hello") == {"sbom": "{}"}
    assert faults_of(robot) == []
    put(release(tmp_path, "2"), robot)  # as an earlier version of crosswheel put it together
    assert ask(robot, "sbom", name="hello") == {"sbom": None}
    with pytest.raises(UsageError, match="no environment"):
        ask(robot, "sbom", name="other")


def test_a_program_that_the_image_has_first_is_named(tmp_path: Path) -> None:
    robot, made = tmp_path / "robot", release(tmp_path, "1")
    assert put(made, robot).warnings == ()
    (tmp_path / "1/launchers/launchers/hello").rename(tmp_path / "1/launchers/launchers/ls")
    (tmp_path / "1/launchers.json").unlink()
    launchers = Package.read("launchers", "1", tmp_path / "1/launchers")
    (warning,) = {
        text.partition("/ls ")[2]
        for text in put(replace(made, launchers=launchers, programs=("ls",)), robot).warnings
    }
    assert warning.startswith("comes first on a login's PATH")


def test_a_store_of_an_earlier_version_goes_on_working(tmp_path: Path) -> None:
    """Earlier, nothing was kept of what was found out, and each package lay at the place of its content."""
    robot = tmp_path / "robot"
    put(release(tmp_path, "1"), robot)
    put(release(tmp_path, "2"), robot)
    for path in [*robot.rglob("seen.json"), *robot.rglob("own.json")]:
        path.unlink()
    assert put(release(tmp_path, "2"), robot).files == 0
    ask(robot, "rollback", name="hello")
    assert put(release(tmp_path, "2"), robot).files == 0
    assert versions(robot) == ["1", "2"]
    assert put(release(tmp_path, "3"), robot).files == 1
    assert (says(robot), versions(robot), faults_of(robot)) == ("hello 3", ["2", "3"], [])
