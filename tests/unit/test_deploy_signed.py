"""What a robot that knows the laboratory's key promises: nothing else is installed, whoever brings it and however."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from crosswheel.agent.signed import CHANNEL
from crosswheel.deploy.bundles import write_program
from crosswheel.deploy.deploying import Deployed, deploy, rehearse
from crosswheel.deploy.release import Release
from crosswheel.deploy.signing import signed_offer
from crosswheel.deploy.ssh import Connection
from crosswheel.errors import CrosswheelError, IntegrityError
from crosswheel.signing.envelope import sign
from crosswheel.signing.keys import KeyFolder, SigningKey
from crosswheel.signing.rotation import rotate
from support.releases import Here, place, release, says, this_machine
from support.signatures import Offer, forgeries, keys_in, offer_of


def put(version: Release, robot: Path, offer: Offer | None = None) -> Deployed:
    with Connection(Here()) as connection:
        return deploy(version, place(robot), connection, lambda text: None, offer=offer)


def faults(robot: Path) -> list[str]:
    with Connection(Here()) as connection:
        connection.ask("open", store=place(robot).store, programs=place(robot).programs)
        return list(connection.ask("verify", name="hello")["faults"])


def files_of(robot: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in robot.rglob("*") if path.is_file()}


def bundled(
    release: Release, robot: Path, path: Path, offer: Offer | None
) -> subprocess.CompletedProcess[str]:
    target = this_machine().model_copy(update={"robot": place(robot)})
    write_program(replace(release, target=target), path, offer)
    return subprocess.run([sys.executable, path, "install"], capture_output=True, text=True, check=False)


def test_the_first_signed_release_pins_its_key_and_later_ones_are_installed(tmp_path: Path) -> None:
    robot, keys = tmp_path / "robot", keys_in(tmp_path / "keys")
    first, second = release(tmp_path, "1"), release(tmp_path, "2")
    key = keys.trusted()[0].hexadecimal
    assert put(first, robot, signed_offer(first, keys)).pinned == key
    assert put(second, robot, signed_offer(second, keys)).pinned is None
    assert says(robot) == "hello 2"
    assert json.loads((robot / "store/trust.json").read_text())["key"] == key


def test_a_robot_that_knows_no_key_takes_what_is_not_signed_and_pins_none(tmp_path: Path) -> None:
    robot = tmp_path / "robot"
    assert put(release(tmp_path, "1"), robot).pinned is None
    assert not (robot / "store/trust.json").exists()


def test_a_release_that_fails_its_test_pins_no_key(tmp_path: Path) -> None:
    robot, failing = tmp_path / "robot", release(tmp_path, "1", test="import no_such_module")
    with pytest.raises(CrosswheelError):
        put(failing, robot, signed_offer(failing, keys_in(tmp_path / "keys")))
    assert put(release(tmp_path, "2"), robot).pinned is None


@pytest.fixture(scope="module")
def pinned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, KeyFolder]:
    """Give a folder, a robot on which version 1 is installed, and the keys that it was signed with."""
    folder = tmp_path_factory.mktemp("pinned")
    robot, keys = folder / "robot", keys_in(folder / "keys")
    first = release(folder, "1")
    put(first, robot, signed_offer(first, keys))
    return folder, robot, keys


def test_a_forged_release_is_refused_however_it_is_forged_and_changes_nothing(
    pinned: tuple[Path, Path, KeyFolder],
) -> None:
    folder, robot, keys = pinned
    forged, before = forgeries(release(folder, "2"), keys), files_of(robot)
    assert len(forged) >= 10
    with Connection(Here()) as connection:
        connection.ask("open", store=place(robot).store, programs=place(robot).programs)
        for kind, (offer, reason) in forged.items():
            with pytest.raises(IntegrityError) as refusal:
                connection.ask("offer", **offer)
            assert reason in str(refusal.value), kind
            with pytest.raises(CrosswheelError):
                connection.ask("build")
    assert files_of(robot) == before


@pytest.mark.parametrize("kind", ["unsigned", "another key", "older than what is installed"])
def test_a_forged_bundle_is_refused_and_changes_nothing(
    pinned: tuple[Path, Path, KeyFolder], kind: str, tmp_path: Path
) -> None:
    folder, robot, keys = pinned
    forged, before = release(folder, "2"), files_of(robot)
    offer, reason = forgeries(forged, keys)[kind]
    done = bundled(forged, robot, tmp_path / "hello.pyz", offer)
    assert (done.returncode, reason in done.stderr, "Traceback" in done.stderr) == (2, True, False)
    assert files_of(robot) == before
    assert says(robot) == "hello 1"


def test_a_rehearsal_installs_nothing_on_a_robot_that_knows_a_key(
    pinned: tuple[Path, Path, KeyFolder],
) -> None:
    folder, robot, _ = pinned
    unsigned = release(folder, "2")
    before = files_of(robot)
    with Connection(Here()) as connection:
        assert rehearse(unsigned, place(robot), connection).size > 0
        with pytest.raises(IntegrityError, match="rehearsal"):
            connection.ask("build")
    assert files_of(robot) == before


def test_a_signed_bundle_pins_its_key_and_refuses_others_from_then_on(tmp_path: Path) -> None:
    robot, keys, bundle = tmp_path / "robot", keys_in(tmp_path / "keys"), tmp_path / "hello.pyz"
    target = this_machine().model_copy(update={"robot": place(robot)})
    first = release(tmp_path, "1", target=target)
    done = bundled(first, robot, bundle, signed_offer(first, keys))
    assert f"only what the key {keys.trusted()[0].short} signed" in done.stdout
    refused = bundled(release(tmp_path, "2", target=target), robot, bundle, None)
    assert refused.returncode == 2
    assert "it is not signed" in refused.stderr


def test_an_unsigned_bundle_says_that_it_is(tmp_path: Path) -> None:
    done = bundled(release(tmp_path, "1"), tmp_path / "robot", tmp_path / "hello.pyz", None)
    assert "warning: it is not signed, so nothing tells who made it" in done.stdout


def test_a_robot_follows_a_key_that_hands_over_however_often_it_did(tmp_path: Path) -> None:
    robot, keys = tmp_path / "robot", keys_in(tmp_path / "keys")
    first, second = release(tmp_path, "1"), release(tmp_path, "2")
    former = keys.signing_key()
    assert former is not None
    put(first, robot, signed_offer(first, keys))
    rotate(keys)
    rotate(keys)
    put(second, robot, signed_offer(second, keys))
    assert says(robot) == "hello 2"
    with pytest.raises(IntegrityError, match="none of its signatures"):
        put(first, robot, offer_of(first, former))
    assert faults(robot) == []


def test_the_clock_of_a_robot_may_be_wrong_for_what_was_signed_before_is_known(tmp_path: Path) -> None:
    # 1970 is nothing: what expired before the newest release was signed is refused whatever the clock says.
    robot, key = tmp_path / "robot", SigningKey.new()
    first, second = release(tmp_path, "1"), release(tmp_path, "2")
    put(first, robot, offer_of(first, key, issued=3_900_000_000))
    with pytest.raises(IntegrityError, match=r"expired on 2093-.* and it is 2093-"):
        put(second, robot, offer_of(second, key, issued=3_900_000_001, expires=3_899_999_999))


def test_verify_names_a_release_that_is_not_what_was_signed(tmp_path: Path) -> None:
    robot, keys = tmp_path / "robot", keys_in(tmp_path / "keys")
    first = release(tmp_path, "1")
    put(first, robot, signed_offer(first, keys))
    assert faults(robot) == []
    said = robot / "store/environments/hello/current/release.json"
    said.write_text(json.dumps({**json.loads(said.read_text()), "version": "9"}))
    assert any("it is not what was signed" in fault for fault in faults(robot))


def test_a_damaged_trust_is_not_taken_for_none(tmp_path: Path) -> None:
    robot, keys = tmp_path / "robot", keys_in(tmp_path / "keys")
    first = release(tmp_path, "1")
    put(first, robot, signed_offer(first, keys))
    for damage in (
        "",
        "{}",
        '{"key": 1, "former": [], "issued": {}}',
        '{"key": "x", "former": [], "issued": []}',
    ):
        (robot / "store/trust.json").write_text(damage)
        with pytest.raises(IntegrityError, match="is damaged"):
            put(first, robot)


def test_a_bundle_holds_the_verifier(tmp_path: Path) -> None:
    target = this_machine().model_copy(update={"robot": place(tmp_path / "robot")})
    write_program(release(tmp_path, "1", target=target), tmp_path / "hello.pyz")
    with zipfile.ZipFile(tmp_path / "hello.pyz") as archive:
        assert "crosswheel/agent/ed25519.py" in archive.namelist()


def installer(robot: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the program that a signed deployment left in the store."""
    program = robot / "store/installer.pyz"
    return subprocess.run([sys.executable, program, *words], capture_output=True, text=True, check=False)


def test_the_installer_of_a_robot_installs_what_is_signed_and_runs_nothing_of_what_is_not(
    pinned: tuple[Path, Path, KeyFolder], tmp_path: Path
) -> None:
    folder, robot, keys = pinned
    target = this_machine().model_copy(update={"robot": place(tmp_path / "elsewhere")})
    second = release(folder, "1", target=target)
    write_program(second, tmp_path / "good.pyz", signed_offer(second, keys))
    done = installer(robot, "install", tmp_path / "good.pyz")
    assert done.returncode == 0, done.stderr
    assert says(robot) == "hello 1"
    assert not (tmp_path / "elsewhere").exists()  # a bundle does not say where
    # A bundle is a program, and this one does harm.
    hostile = tmp_path / "hostile.pyz"
    write_program(second, hostile, forgeries(second, keys)["another key"][0])
    with zipfile.ZipFile(hostile) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    harm = f"open({str(tmp_path / 'harm')!r}, 'w')\n".encode()
    rewritten(hostile, {n: harm if n.endswith(".py") else data for n, data in members.items()})
    refused = installer(robot, "install", hostile)
    assert (refused.returncode, "by a key that is trusted" in refused.stderr) == (2, True), refused.stderr
    assert not (tmp_path / "harm").exists()
    subprocess.run([sys.executable, hostile, "install"], check=False)
    assert (tmp_path / "harm").exists()  # had it been run


def rewritten(path: Path, members: dict[str, bytes]) -> None:
    """Write a bundle with other members, and the hash that it then has to tell."""
    path.unlink()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        archive.comment = b"0" * 64
    data = path.read_bytes()[:-64]
    path.write_bytes(data + hashlib.sha256(data).hexdigest().encode())


@pytest.mark.parametrize(
    "content", [{}, {"release.json": b"{}"}, {"release.json": b"["}, {"release.json": b'{"root": 1}'}]
)
def test_what_is_no_bundle_is_refused_without_a_trace(
    pinned: tuple[Path, Path, KeyFolder], tmp_path: Path, content: dict[str, bytes]
) -> None:
    path = tmp_path / "it.pyz"
    path.touch()
    rewritten(path, {"place.json": b'{"name": "hello"}', **content})
    refused = installer(pinned[1], "install", path)
    assert (refused.returncode, "Traceback" in refused.stderr) == (2, False), refused.stderr
    assert refused.stderr.startswith("error: ")


def test_wheels_are_compared_with_the_manifest_of_their_channel(
    pinned: tuple[Path, Path, KeyFolder], tmp_path: Path
) -> None:
    _, robot, keys = pinned
    key = keys.signing_key()
    assert key is not None
    wheel = tmp_path / "a-1-py3-none-any.whl"
    wheel.write_bytes(b"wheel")

    def manifest(by: SigningKey, version: int, expires: int = 4_000_000_000) -> None:
        files = {f"simple/a/{wheel.name}": {"sha256": hashlib.sha256(b"wheel").hexdigest(), "size": 5}}
        said = {"channel": "c", "version": version, "issued": 1, "expires": expires, "files": files}
        (tmp_path / "signed.json").write_text(json.dumps(sign(said, CHANNEL, by)))

    def refusal() -> str:
        done = installer(robot, "check", tmp_path)
        assert done.returncode in (0, 2), done.stderr
        return done.stderr

    manifest(key, 7)
    assert refusal() == ""
    manifest(key, 6)
    assert "is number 6, and number 7 was here before" in refusal()
    manifest(key, 8, expires=2)
    assert "expired" in refusal()
    manifest(SigningKey.new(), 9)
    assert "none of its signatures" in refusal()
    manifest(key, 9)
    wheel.write_bytes(b"other")
    assert "is not what was signed of the channel" in refusal()
