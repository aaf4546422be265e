"""What is decided on this machine before a robot is asked: services, preflight, lists of robots, what ssh says."""

from __future__ import annotations

import errno
import io
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import NoReturn

import pytest
from typer.testing import CliRunner

from crosswheel import targets
from crosswheel.agent.requests import Server
from crosswheel.cli import app
from crosswheel.deploy.assembling import LockedProgram, locked_program, proven_wheels
from crosswheel.deploy.fleet import on_each, read_list
from crosswheel.deploy.preflight import clashes
from crosswheel.deploy.service import Service, read_variables
from crosswheel.deploy.ssh import Address, Connection, _refusal
from crosswheel.errors import CheckFailed, IntegrityError, NetworkError, TargetError, UsageError
from crosswheel.files import sha256_of
from crosswheel.simulator.look_alike import ALIAS, _ssh_config
from crosswheel.wheels.proof import Proof
from support.releases import release
from support.wheels import make_wheel

OT2 = targets.load("ot2")
ROBOT = targets.robot_of(OT2)


def locked(recipes: Path, *versions: str) -> None:
    for version in versions:
        lock = recipes / "prefect" / version / "ot2.lock"
        lock.parent.mkdir(parents=True)
        lock.write_text("")


def test_a_requirement_is_answered_by_the_newest_lock_that_fits(tmp_path: Path) -> None:
    locked(tmp_path, "3.3.4", "3.10.0", "4.0.0")
    assert locked_program("prefect", tmp_path, OT2).version == "4.0.0"
    assert locked_program("Prefect<4", tmp_path, OT2).version == "3.10.0"
    assert locked_program("prefect==3.3.4", tmp_path, OT2).lock == tmp_path / "prefect/3.3.4/ot2.lock"


def test_a_requirement_without_a_lock_names_the_versions_that_have_one(tmp_path: Path) -> None:
    locked(tmp_path, "3.3.4", "3.10.0")
    with pytest.raises(UsageError, match=r"locked versions of prefect: 3\.3\.4, 3\.10\.0"):
        locked_program("prefect>5", tmp_path, OT2)
    with pytest.raises(UsageError, match="is not a requirement"):
        locked_program("prefect=3", tmp_path, OT2)


def test_an_extra_is_answered_only_by_a_lock_that_was_made_for_it(tmp_path: Path) -> None:
    locked(tmp_path, "3.3.4", "3.10.0")
    made_for = "# requirements: Prefect[redis,AWS_S3]==3.3.4, other[docker]\n"
    (tmp_path / "prefect/3.3.4/ot2.lock").write_text(made_for)
    assert locked_program("prefect[redis]", tmp_path, OT2).version == "3.3.4"
    assert locked_program("prefect[aws-s3,redis]", tmp_path, OT2).version == "3.3.4"
    for requirement in ("prefect[nosuch]==3.3.4", "prefect[docker]", "prefect[redis]==3.10.0"):
        with pytest.raises(UsageError, match=r"was made without the extra (nosuch|docker|redis)$"):
            locked_program(requirement, tmp_path, OT2)


def test_what_a_requirement_says_is_never_dropped(tmp_path: Path) -> None:
    locked(tmp_path, "3.3.4")
    assert locked_program("prefect; platform_machine == 'armv7l'", tmp_path, OT2).version == "3.3.4"
    with pytest.raises(UsageError, match="its marker excludes it there"):
        locked_program("prefect; python_version >= '3.12'", tmp_path, OT2)
    with pytest.raises(UsageError, match="names a source"):
        locked_program("prefect @ https://lab.example/prefect.whl", tmp_path, OT2)


@pytest.fixture
def wanted(tmp_path: Path) -> LockedProgram:
    lock = tmp_path / "ot2.lock"
    lock.write_text(f"a==1 --hash=sha256:{'0' * 64}\n")
    return LockedProgram("a", "1", lock)


def test_only_wheels_that_were_proven_for_the_target_are_sent(tmp_path: Path, wanted: LockedProgram) -> None:
    with pytest.raises(UsageError, match="there is no wheel of a==1"):
        proven_wheels(wanted, tmp_path, OT2)
    wheel = make_wheel(tmp_path / "a/1", "a", "1", {"a.py": b""})
    with pytest.raises(CheckFailed, match="no wheel of a==1 was proven"):
        proven_wheels(wanted, tmp_path, OT2)
    _prove(wheel, "flex")
    with pytest.raises(CheckFailed, match="no wheel of a==1 was proven"):
        proven_wheels(wanted, tmp_path, OT2)
    _prove(wheel, "ot2")
    assert [proven.path for proven in proven_wheels(wanted, tmp_path, OT2)] == [wheel]


def test_a_wheel_that_changed_after_its_proof_is_not_sent(tmp_path: Path, wanted: LockedProgram) -> None:
    wheel = make_wheel(tmp_path / "a/1", "a", "1", {"a.py": b""})
    _prove(wheel, "ot2")
    make_wheel(tmp_path / "a/1", "a", "1", {"a.py": b"changed"})
    with pytest.raises(IntegrityError, match="is not the file that was proven"):
        proven_wheels(wanted, tmp_path, OT2)


def _prove(wheel: Path, target: str) -> None:
    digest = sha256_of(wheel)
    proof = Proof(wheel=wheel.name, sha256=digest, target=target, origin="built", reason="", source="")
    proof.write_beside(wheel)


def test_preflight_tells_a_clash_from_the_same_version_and_from_no_clash(tmp_path: Path) -> None:
    image = {"Hello": "0.9", "other": "1", "unrelated": "1"}
    found = clashes(release(tmp_path, "1").versions, image, ["hello"])
    assert [(clash.name, clash.needed, clash.image, clash.server) for clash in found] == [
        ("hello", "1", "0.9", True),
        ("other", "1", "1", False),
    ]
    assert "the robot server needs it" in found[0].consequence
    assert found[1].consequence == "the same version: the image's is used"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="this machine has no systemd")
def test_systemd_finds_nothing_wrong_with_a_unit(tmp_path: Path) -> None:
    robot = ROBOT.model_copy(update={"programs": "/bin", "store": str(tmp_path)})
    words = ["echo", "a b", "50%", "$HOME", 'quo"ted', "back\\slash"]
    unit = tmp_path / "flows.service"
    unit.write_text(Service("flows", words, {"NAME": "with space $x %h"}).unit(robot, "hello"))
    checked = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_a_unit_takes_words_and_variables_as_they_are() -> None:
    unit = Service("flows", ["prefect", "worker", "--pool", "my pool", "50%", "$x"], {"A": "b c"}).unit(
        ROBOT, "prefect"
    )
    assert 'ExecStart=/var/user-packages/usr/bin/prefect worker --pool "my pool" 50%% $$x\n' in unit
    assert 'Environment="A=b c"\n' in unit
    own = "/var/user-packages/crosswheel/environments/prefect/current/bin"
    assert f"Environment=PATH=/var/user-packages/usr/bin:{own}:/usr/sbin:/usr/bin:/sbin:/bin\n" in unit
    assert "MemoryMax=300M\n" in unit


@pytest.mark.parametrize(
    ("name", "memory"), [("../x", "1M"), ("a b", "1M"), ("", "1M"), ("a", "lots"), ("a", "1M\n")]
)
def test_a_service_with_a_bad_name_or_limit_is_refused(name: str, memory: str) -> None:
    with pytest.raises(UsageError):
        Service(name, ["prefect"], {}, memory)


@pytest.mark.parametrize("name", ["PYTHONPATH", "PYTHONHOME"])
def test_a_variable_that_a_program_would_never_see_is_refused(name: str) -> None:
    for given in ({"environment": {name: "/x"}}, {"secrets": {name: "/x"}}):
        with pytest.raises(UsageError, match=f"{name} cannot be given to a service"):
            Service("flows", ["prefect"], **given)


def test_secrets_are_read_from_a_file_and_are_in_no_unit_nor_error(tmp_path: Path) -> None:
    file = tmp_path / "lab.env"
    file.write_bytes('\ufeff# the lab\'s\n\nKEY=a=b "c" $d\n'.encode())
    secrets = read_variables(file)
    assert secrets == {"KEY": 'a=b "c" $d'}
    unit = Service("flows", ["prefect"], secrets=secrets).unit(ROBOT, "prefect")
    assert "a=b" not in unit
    assert "EnvironmentFile=/var/user-packages/crosswheel/services/flows.env\n" in unit
    file.write_text("KEY=1\nsecret words\n")
    with pytest.raises(UsageError, match=r"line 2 of .*lab\.env is not NAME=VALUE") as refused:
        read_variables(file)
    assert "words" not in str(refused.value)
    file.write_bytes(b"KEY=\xe4\n")
    with pytest.raises(UsageError, match="cannot be read"):
        read_variables(file)


def test_a_list_of_robots_has_comments_and_names_each_once(tmp_path: Path) -> None:
    file = tmp_path / "robots.txt"
    file.write_text("# lab\nleft  # by the door\n\nroot@right\nleft\n")
    assert read_list(file) == ["left", "root@right"]
    file.write_bytes(b"\xef\xbb\xbfleft\r\nroot@right\r\n")
    assert read_list(file) == ["left", "root@right"]
    file.write_bytes("# beim Gerät\nleft\n".encode("latin-1"))
    with pytest.raises(UsageError, match="is not text in UTF-8"):
        read_list(file)


@pytest.mark.parametrize("text", ["", "# none\n", "-oProxyCommand=x\n", "two words\n"])
def test_a_list_without_robots_or_with_something_else_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "robots.txt").write_text(text)
    with pytest.raises(UsageError):
        read_list(tmp_path / "robots.txt")
    with pytest.raises(UsageError, match="cannot be read"):
        read_list(tmp_path / "missing.txt")


def test_robots_are_served_at_the_same_time() -> None:
    meeting = threading.Barrier(3, timeout=30)
    outcomes = on_each([Address(name) for name in "abc"], lambda address: meeting.wait() >= 0)
    assert [outcome.value for outcome in outcomes] == [True] * 3


def test_one_robot_that_fails_does_not_stop_the_others() -> None:
    def work(address: Address) -> str:
        if address.host == "bad":
            _refuse()
        return address.host

    outcomes = on_each([Address("a"), Address("bad"), Address("b")], work)
    assert [(outcome.robot, str(outcome.result)) for outcome in outcomes] == [
        ("a", "a"),
        ("bad", "no"),
        ("b", "b"),
    ]
    assert [outcome.robot for outcome in outcomes if outcome.error] == ["bad"]


def _refuse() -> NoReturn:
    raise NetworkError("no", hint="")


@pytest.mark.skipif(shutil.which("ssh") is None, reason="this machine has no ssh")
def test_a_host_where_nothing_listens_is_explained(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = Address("127.0.0.1", port=probe.getsockname()[1], config=Path("/dev/null"))
        # The connection may be refused while it is made, or only when it is used.
        with pytest.raises(NetworkError, match="cannot be reached"), Connection(address) as connection:
            connection.ask("open", store="/nowhere", programs="/nowhere")


@pytest.mark.parametrize(
    ("said", "message", "hint"),
    [
        (
            "@@@@\nWARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!\nOffending ED25519 key in /home/me/my hosts:3\n"
            "Host key for [lab.example]:2222 has changed and you have requested strict checking.",
            "lab has another host key",
            "ssh-keygen -f '/home/me/my hosts' -R '[lab.example]:2222'",
        ),
        (
            "Host key verification failed.",
            "host key of lab is not known",
            "ssh -o StrictHostKeyChecking=ask lab",
        ),
        (
            "Unable to negotiate with 10.0.0.1 port 22: no matching host key type found. Their offer: ssh-rsa",
            "have no host key type in common; lab offers ssh-rsa",
            "HostKeyAlgorithms +ssh-rsa",
        ),
        (
            "sign_and_send_pubkey: no mutual signature supported\nroot@lab: Permission denied (publickey).",
            "too old for the signatures",
            "PubkeyAcceptedAlgorithms +ssh-rsa",
        ),
        (
            "Warning: Identity file /x not accessible: No such file or directory.\nPermission denied (publickey).",
            "a private key for lab cannot be used",
            "check --identity",
        ),
        (
            "/x/config: line 1: Bad configuration option: hots",
            "does not take its configuration",
            "mend the line",
        ),
        ("sudo: a password is required", "sudo asks for a password on lab", "NOPASSWD"),
        ("me is not in the sudoers file.", "sudo refuses on lab", "log in as root"),
        ("root@lab: Permission denied (publickey).", "lab does not let us in", "check --user"),
        ("ssh: connect to host lab port 22: Connection refused", "lab cannot be reached", "is on"),
    ],
)
def test_what_ssh_says_is_explained_with_what_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, message: str, hint: str
) -> None:
    ssh = tmp_path / "ssh"
    ssh.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{said}\nEND\nexit 255\n")
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(NetworkError, match=message) as raised, Connection(Address("lab")) as connection:
        connection.ask("open", store="/nowhere", programs="/nowhere")
    assert hint in raised.value.hint


def test_a_command_of_the_ssh_configuration_does_not_take_the_place_of_the_agent() -> None:
    words = Address("lab").command("python3")
    assert words[words.index("RemoteCommand=none") - 1] == "-o"


def test_who_is_not_root_becomes_so_by_sudo_where_that_is_asked_for() -> None:
    assert Address("lab", sudo=True).command("python3", "-c", "a b")[-1] == "sudo -n -- python3 -c 'a b'"


def test_a_store_that_the_user_may_not_write_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(path: Path, **options: object) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuses)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    server = Server(io.BytesIO(), io.BytesIO())
    server.do_open(store=str(tmp_path / "store"), programs=str(tmp_path))
    answer = server._answer({"do": "hold"})
    assert answer["error"] == "permission"
    refusal = _refusal(answer["error"], answer["message"])
    assert f"the user who is logged in (uid 1000) may not write {tmp_path}/store" in str(refusal)
    assert "--sudo" in refusal.hint


@pytest.mark.skipif(shutil.which("ssh") is None, reason="this machine has no ssh")
def test_the_configuration_of_a_look_alike_is_read_whatever_its_folder_is_called(tmp_path: Path) -> None:
    folder = tmp_path / "my robot 50%d"
    folder.mkdir()
    (folder / "host-key").write_text("ssh-ed25519 AAAA robot\n")
    config = _ssh_config(folder, folder / "key", 2222)
    shown = subprocess.run(["ssh", "-G", "-F", config, ALIAS], capture_output=True, text=True, check=True)
    assert f"identityfile {folder}/key\n".replace("%", "%%") in shown.stdout
    assert f"userknownhostsfile {folder}/known_hosts\n" in shown.stdout


@pytest.mark.parametrize(
    "words",
    [
        ["list", "--robot", "lab", "--port", "99999"],
        ["robot-sim", "--port", "99999"],
        ["list", "--port", "0"],
    ],
)
def test_a_port_that_cannot_be_is_refused_as_a_mistake_of_the_command(words: list[str]) -> None:
    refused = CliRunner().invoke(app, words)
    assert (refused.exit_code, "Traceback" in refused.output) == (2, False)
    assert "Invalid value for '--port'" in refused.output


@pytest.mark.skipif(shutil.which("ssh") is None, reason="this machine has no ssh")
@pytest.mark.parametrize(
    "words", [["list"], ["verify", "greeter"], ["rollback", "greeter"], ["remove", "greeter"]]
)
@pytest.mark.parametrize("robots", [1, 2])
def test_the_exit_code_is_the_same_for_one_robot_that_fails_as_for_several(
    words: list[str], robots: int, tmp_path: Path
) -> None:
    config = tmp_path / "ssh_config"
    config.write_text("Host *\n  ProxyCommand false\n")  # nobody answers
    named = [word for number in range(robots) for word in ("--robot", f"robot-{number}")]
    failed = CliRunner().invoke(app, [*words, "--ssh-config", str(config), *named])
    assert failed.exit_code == 1, failed.output
    if words != ["list"]:
        rows = [line.split() for line in failed.output.splitlines()]
        assert [row[-1] for row in rows if row and row[0].startswith("robot-")][:robots] == [
            "failed"
        ] * robots
    assert failed.output.count("what to do") == robots


@pytest.mark.parametrize("words", [["verify"], ["rollback"], ["remove"]])
def test_a_name_that_no_environment_can_have_is_a_mistake_of_the_command(words: list[str]) -> None:
    refused = CliRunner().invoke(app, [*words, "../tea", "--robot", "nobody"])
    assert isinstance(refused.exception, UsageError)
    assert "'../tea' is not a valid name of an environment" in str(refused.exception)


def test_a_target_that_is_no_robot_is_explained() -> None:
    with pytest.raises(TargetError, match="does not say where programs are kept"):
        targets.robot_of(OT2.model_copy(update={"robot": None}))


def test_a_command_for_robots_imports_neither_compilers_nor_registry_nor_index() -> None:
    asked = "import crosswheel.cli.robots, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()).isdisjoint(
        {
            "httpx",
            "crosswheel.registry",
            "crosswheel.index",
            "crosswheel.toolchain.environment",
            "crosswheel.job",
        }
    )
