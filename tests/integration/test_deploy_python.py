"""A real Python of another version, sent to a look-alike robot: skipped where none was built, which takes minutes."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from crosswheel import targets
from crosswheel.files import sha256_of
from crosswheel.process import Runner
from crosswheel.settings import Settings
from crosswheel.simulator.look_alike import ALIAS, Simulation, running
from crosswheel.toolchain.python.choosing import has_pythons
from crosswheel.wheels.proof import Proof
from support import look_alike
from support.wheels import make_wheel

_TARGET = targets.load("ot2-py313")
_GREETER = b"""
import ssl, sys, zoneinfo

def main():
    assert "x509" in ssl.create_default_context().cert_store_stats()
    print(sys.version.split()[0], zoneinfo.ZoneInfo("Asia/Tokyo"), sys.base_prefix)
"""

pytestmark = pytest.mark.skipif(
    not has_pythons(_TARGET, Settings.from_environment()),
    reason=f"no Python {_TARGET.python.version} for {_TARGET.title} was built; bench/newest-prefect builds it",
)


@dataclass(frozen=True)
class Sender:
    """A running look-alike, and the folder that programs are sent from."""

    simulation: Simulation
    folder: Path

    def send(self, name: str) -> str:
        """Lock a program of one file, and send it with its Python; return what the command prints."""
        dist, lock = self.folder / "dist" / name / "1.0", self.folder / "packages" / name / "1.0"
        points = {"entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n".encode()}
        wheel = make_wheel(dist, name, "1.0", {f"{name}.py": _GREETER}, dist_info=points)
        Proof(
            wheel=wheel.name,
            sha256=sha256_of(wheel),
            target=_TARGET.name,
            origin="taken",
            reason="test",
            source="test",
        ).write_beside(wheel)
        lock.mkdir(parents=True)
        (lock / f"{_TARGET.name}.lock").write_text(f"{name}==1.0 --hash=sha256:{'0' * 64}\n")
        words = ["deploy", name, "--target", "ot2", "--python", "3.13", "--robot", ALIAS]
        done = subprocess.run(
            [
                Path(sys.executable).with_name("crosswheel"),
                *words,
                "--ssh-config",
                self.simulation.ssh_config,
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def sender(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sender]:
    folder = tmp_path_factory.mktemp("robot")
    image = look_alike.image(folder)
    with running(image, folder, Runner(log=folder / "commands.txt"), var_size="300m") as simulation:
        yield Sender(simulation, folder)


def test_programs_run_on_the_python_that_was_sent_once(sender: Sender) -> None:
    files = [
        int(re.findall(rf"^{ALIAS} +1\.0 +(\d+)", sender.send(name), re.MULTILINE)[0]) for name in ("a", "b")
    ]
    assert files[0] > 1000
    assert files[1] < 20
    told = [look_alike.ssh(sender.simulation, name) for name in ("a", "b")]
    assert all(done.returncode == 0 for done in told), told
    version, zone, prefix = told[0].stdout.split()
    assert (version, zone) == (_TARGET.python.version, "Asia/Tokyo")
    assert told[1].stdout == told[0].stdout
    assert prefix.startswith("/var/user-packages/crosswheel/")
    own = look_alike.ssh(sender.simulation, "python3 --version").stdout
    assert own == f"Python {targets.load('ot2').python.version}\n"
