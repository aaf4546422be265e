"""A robot that knows the laboratory's key, on the look-alike: what it refuses, over real ssh and as a bundle."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from crosswheel import targets
from crosswheel.deploy.bundles import write_program
from crosswheel.deploy.deploying import deploy
from crosswheel.deploy.signing import signed_offer
from crosswheel.deploy.ssh import Address, Connection
from crosswheel.errors import IntegrityError
from crosswheel.index.site import write_site
from crosswheel.process import Runner
from crosswheel.publish import publish
from crosswheel.publish.channel_manifest import Reader, Signatory
from crosswheel.signing.keys import KeyFolder
from crosswheel.signing.rotation import rotate
from crosswheel.simulator.look_alike import ALIAS, Simulation, running
from crosswheel.stores.folder import FolderStore
from support import look_alike
from support.releases import release
from support.signatures import Offer, forgeries, keys_in
from support.static_server import serving
from support.wheels import make_wheel

OT2 = targets.load("ot2")


@dataclass(frozen=True)
class PinnedRobot:
    """A look-alike on which version 1 was deployed, signed."""

    simulation: Simulation
    folder: Path
    keys: KeyFolder

    @property
    def address(self) -> Address:
        return Address(ALIAS, config=self.simulation.ssh_config)

    def put(self, version: str, offer: Offer | None = None) -> None:
        made = release(self.folder, version, target=OT2)
        with Connection(self.address) as connection:
            deploy(
                made,
                targets.robot_of(OT2),
                connection,
                lambda text: None,
                offer=offer or signed_offer(made, self.keys),
            )

    def ssh(self, command: str, **options: object) -> subprocess.CompletedProcess[str]:
        return look_alike.ssh(self.simulation, command, **options)

    def state(self) -> str:
        """Return what tells whether anything changed: what runs, and every file of the store."""
        return self.ssh("hello; find /var/user-packages -type f | sort | xargs sha256sum").stdout


@pytest.fixture(scope="module")
def robot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PinnedRobot]:
    folder = tmp_path_factory.mktemp("robot")
    image = look_alike.image(folder)
    with running(image, folder, Runner(log=folder / "commands.txt"), var_size="80m") as simulation:
        made = PinnedRobot(simulation, folder, keys_in(folder / "keys"))
        made.put("1")
        yield made


def test_a_robot_that_knows_a_key_refuses_every_forged_deployment(robot: PinnedRobot) -> None:
    forged, before = forgeries(release(robot.folder, "2", target=OT2), robot.keys), robot.state()
    assert before.startswith("hello 1\n")
    assert len(forged) >= 10
    with Connection(robot.address) as connection:
        there = targets.robot_of(OT2)
        connection.ask("open", store=there.store, programs=there.programs)
        for kind, (offer, reason) in forged.items():
            with pytest.raises(IntegrityError) as refusal:
                connection.ask("offer", **offer)
            assert reason in str(refusal.value), kind
    assert robot.state() == before


def test_a_robot_that_knows_a_key_refuses_a_forged_bundle(robot: PinnedRobot, tmp_path: Path) -> None:
    forged, before = release(robot.folder, "2", target=OT2), robot.state()
    offer, reason = forgeries(forged, robot.keys)["another key"]
    write_program(forged, tmp_path / "hello.pyz", offer)
    with (tmp_path / "hello.pyz").open("rb") as bundle:
        robot.ssh("cat > /var/hello.pyz", stdin=bundle)
    done = robot.ssh("python3 /var/hello.pyz install")
    assert (done.returncode, reason in done.stderr) == (2, True), done.stderr
    assert robot.state() == before


def test_a_robot_follows_the_key_that_the_former_one_hands_over_to(robot: PinnedRobot) -> None:
    rotate(robot.keys)
    robot.put("3")
    assert robot.state().startswith("hello 3\n")


def test_install_sh_takes_on_a_robot_that_knows_a_key_only_what_is_signed(
    robot: PinnedRobot, tmp_path: Path
) -> None:
    key = robot.keys.signing_key()
    assert key is not None
    signatory = Signatory(key, Reader((key.public,), tmp_path / "memory"))
    for name, signed_by in (("ours", signatory), ("theirs", None)):
        points = {"entry_points.txt": b"[console_scripts]\ngreet = greet:main\n"}
        source = f"def main(): print('{name}')\n".encode()
        make_wheel(tmp_path / name / "dist/greet/1.0", "greet", "1.0", {"greet.py": source}, dist_info=points)
        write_site(tmp_path / name / "dist", tmp_path / name / "index")
        publish(tmp_path / name / "index", FolderStore(tmp_path / name / "channel"), signatory=signed_by)
    script = tmp_path / "ours/channel/install.sh"

    def install(name: str) -> subprocess.CompletedProcess[str]:
        with serving(tmp_path / name / "channel") as server, script.open("rb") as source:
            return robot.ssh(f"sh -s -- {server.url} greet==1.0 /var/{name}", stdin=source)

    done = install("ours")
    assert done.returncode == 0, done.stderr
    assert robot.ssh("/var/ours/bin/greet").stdout == "ours\n"
    unsigned = install("theirs")
    assert "is not signed, and this machine takes only what is" in unsigned.stderr
    # Who serves the index shows another wheel of that name, beside what we signed.
    shutil.copy(tmp_path / "ours/channel/signed.json", tmp_path / "theirs/channel/signed.json")
    replaced = install("theirs")
    assert "is not what was signed of the channel" in replaced.stderr
    assert (unsigned.returncode, replaced.returncode) == (2, 2)
    assert "greet" not in robot.ssh("ls /var/theirs/bin").stdout
