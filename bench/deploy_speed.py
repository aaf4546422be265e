"""Deploying to a robot beside the robot's own pip, on the look-alike: time to a program that answers, and bytes sent.

    bench/deploy [--kills 50]

needs ``dist/`` as `crosswheel build` leaves it. Both sides get the same wheels; pip gets them from an index on this
machine, into an environment made by the robot's own `python -m venv`, because into the image it cannot install at all.
With ``--kills``, deployments are also broken off at random moments, and each time the environment is verified.
"""

from __future__ import annotations

import argparse
import base64
import csv
import hashlib
import io
import random
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from _measure import machine

from crosswheel import targets
from crosswheel.check.proof import Proof
from crosswheel.deploy.commands import assembler_for
from crosswheel.deploy.deploying import Deployed, deploy
from crosswheel.deploy.environment import release_for
from crosswheel.deploy.image import image_for, robot_of
from crosswheel.deploy.simulation import ALIAS, Simulation, running
from crosswheel.deploy.ssh import Address, Connection
from crosswheel.errors import CrosswheelError
from crosswheel.files import sha256_of
from crosswheel.index import write_site
from crosswheel.process import Runner
from crosswheel.settings import Settings

_CHECKOUT = Path(__file__).parents[1]
_REQUIREMENT = "prefect==3.3.4"
_CHANGED = "humanize"  # pure, small, wanted by Prefect
_ENVIRONMENT = "/var/by-pip"
# The same for both: the program's version, by the command that the user types.
_ANSWER = "import prefect; print(prefect.__version__)"


@dataclass(frozen=True)
class Sides:
    """A running robot, and the trees of wheels and locks before and after one package changes."""

    simulation: Simulation
    before: Path
    after: Path

    @property
    def address(self) -> Address:
        return Address(ALIAS, config=self.simulation.ssh_config)

    def ssh(self, command: str) -> str:
        words = ["ssh", "-F", str(self.simulation.ssh_config), ALIAS, f". /etc/profile; {command}"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{command} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout

    def deploy(self, tree: Path) -> Deployed:
        target = targets.load("ot2")
        made = release_for(
            _REQUIREMENT, recipes=tree / "packages", dist=tree / "dist", assembler=assembler_for(target)
        )
        with Connection(self.address) as connection:
            return deploy(made, robot_of(target), connection, lambda text: None)


def seconds(work: Callable[[], object]) -> float:
    """Return how long something takes."""
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


def trees(dist: Path, folder: Path) -> tuple[Path, Path]:
    """Make the two trees, the second with another release of one package."""
    before, after = folder / "before", folder / "after"
    for tree in (before, after):
        shutil.copytree(dist, tree / "dist")
        shutil.copytree(_CHECKOUT / "packages/prefect", tree / "packages/prefect")
    (old,) = (after / "dist" / _CHANGED).glob("*/*.whl")
    version = old.parent.name
    new = _next_release(old, version, f"{version}.post1")
    proof = Proof.read_beside(old, "ot2")
    assert proof is not None
    proof.model_copy(update={"wheel": new.name, "sha256": sha256_of(new)}).write_beside(new)
    shutil.rmtree(old.parent)
    (lock,) = (after / "packages").glob("prefect/*/ot2.lock")
    lock.write_text(lock.read_text().replace(f"{_CHANGED}=={version}", f"{_CHANGED}=={version}.post1"))
    return before, after


def _next_release(wheel: Path, version: str, following: str) -> Path:
    """Write a wheel as another version of itself; return its path."""
    path = wheel.parents[1] / following / wheel.name.replace(version, following)
    path.parent.mkdir()
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as sink:
        rows = []
        for member in source.namelist():
            if member.endswith(".dist-info/RECORD"):
                continue
            data = source.read(member)
            if member.endswith(".dist-info/METADATA"):
                data = data.replace(f"Version: {version}".encode(), f"Version: {following}".encode(), 1)
            name = member.replace(version, following)
            sink.writestr(name, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
            rows.append([name, f"sha256={digest}", str(len(data))])
        info = next(row[0].split("/")[0] for row in rows if ".dist-info/" in row[0])
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([*rows, [f"{info}/RECORD", "", ""]])
        sink.writestr(f"{info}/RECORD", text.getvalue())
    return path


def served(site: Path) -> str:
    """Serve a folder on 127.0.0.1 until this program ends; return its address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/simple/"


def by_pip(sides: Sides, index: str, what: str) -> None:
    """Install with the robot's own pip, and ask the program for its version."""
    sides.ssh(
        f"[ -d {_ENVIRONMENT} ] || python3 -m venv --without-pip {_ENVIRONMENT}; "
        f"pip --python {_ENVIRONMENT} install --root / --no-cache-dir --disable-pip-version-check -q "
        f"--index-url {index} {what}"
    )
    sides.ssh(f'{_ENVIRONMENT}/bin/python -c "{_ANSWER}"')


def by_crosswheel(sides: Sides, tree: Path, into: list[Deployed]) -> None:
    """Deploy, and ask the program for its version."""
    into.append(sides.deploy(tree))
    sides.ssh(f"prefect-python -c '{_ANSWER}'")


def measure(sides: Sides, folder: Path) -> None:
    """Print the comparison."""
    for tree, name in ((sides.before, "site-1"), (sides.after, "site-2")):
        write_site(tree / "dist", folder / name)
    first, second = served(folder / "site-1"), served(folder / "site-2")
    print(machine())
    sides.deploy(sides.before)  # installs each wheel on this machine, once for all robots
    sides.ssh("rm -rf /var/user-packages")
    done: list[Deployed] = []
    ours = [seconds(partial(by_crosswheel, sides, tree, done)) for tree in (sides.before, sides.after)]
    theirs = [
        seconds(partial(by_pip, sides, first, _REQUIREMENT)),
        seconds(partial(by_pip, sides, second, f"--upgrade --upgrade-strategy eager {_REQUIREMENT}")),
    ]
    # What only somebody can ask for who knows which package changed; a further version, so that there is work to do.
    sides.ssh(f"pip --python {_ENVIRONMENT} uninstall -qy {_CHANGED}")
    knowing = seconds(partial(by_pip, sides, second, f"--no-deps {_CHANGED}"))
    answer = seconds(partial(sides.ssh, f"prefect-python -c '{_ANSWER}'"))
    for what, own, other, report in zip(("first", "one package changed"), ours, theirs, done):
        print(
            f"{what}: crosswheel {own:.1f} s, pip {other:.1f} s ({other / own:.1f} x); sent {report.sent} bytes "
            f"in {report.files} files, {100 * report.sent / done[0].sent:.2f} % of the first"
        )
    print(f"pip told which package changed, to install that alone: {knowing:.1f} s")
    print(f"of each, the program's answer alone: {answer:.1f} s")


def kill(sides: Sides, number: int) -> None:
    """Break deployments off at random moments; end with a failure if one leaves anything but a whole version."""
    chance = random.Random(1)
    whole = sides.deploy(sides.before).seconds
    broken = 0
    for attempt in range(number):
        tree = (sides.after, sides.before)[attempt % 2]
        words = [
            sys.executable,
            __file__,
            "--deploy",
            str(tree),
            "--config",
            str(sides.simulation.ssh_config),
        ]
        child = subprocess.Popen(
            words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        time.sleep(chance.uniform(0.2, whole + 2))
        if attempt % 3 == 2:  # the robot's side dies, not ours
            sides.ssh("kill -9 $(pidof python3) 2>/dev/null; true")
        child.kill()
        child.wait()
        sides.ssh("while pidof python3 >/dev/null; do sleep 0.1; done")
        with Connection(sides.address) as connection:
            robot = robot_of(targets.load("ot2"))
            connection.ask("open", store=robot.store, programs=robot.programs)
            faults = connection.ask("verify", name="prefect")["faults"]
        broken += bool(faults)
    print(f"{number} deployments broken off at random moments: {broken} left a broken environment")
    sides.ssh(f"prefect-python -c '{_ANSWER}'")


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dist", type=Path, default=_CHECKOUT / "dist")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--only-kills", action="store_true")
    parser.add_argument("--deploy", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--config", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.deploy:
        sides = Sides(Simulation(0, options.config, Path(), 0), options.deploy, options.deploy)
        with_errors(lambda: sides.deploy(options.deploy))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runner = Runner(log=folder / "log.txt")
        image = image_for(targets.load("ot2"), Settings.from_environment(), runner)
        before, after = trees(options.dist, folder)
        with running(image, folder / "robot", runner, var_size="2g") as simulation:
            sides = Sides(simulation, before, after)
            if not options.only_kills:
                measure(sides, folder)
            if options.kills:
                kill(sides, options.kills)


def with_errors(work: Callable[[], object]) -> None:
    """Do something, and end with the message of an error that is explained."""
    try:
        work()
    except CrosswheelError as error:
        sys.exit(f"{error}\n{error.hint}")


if __name__ == "__main__":
    main()
