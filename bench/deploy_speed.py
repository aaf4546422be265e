"""Deploying to a robot beside the robot's own pip, on the look-alike: time to a running program, and bytes sent.

    bench/deploy [--dist DIST] [--kills 50]

needs the wheels of the main job. Both sides get the same wheels; pip gets them from an index on this machine, into an
environment made by the robot's own `python -m venv`, because beside the image's packages it cannot install. Time is
from the command until `prefect version` has answered on the robot: for `deploy` that is its own test of the new
version. With ``--kills``, deployments are also broken off at random moments, and each time the environment is verified.
"""

from __future__ import annotations

import argparse
import base64
import csv
import dataclasses
import hashlib
import io
import os
import platform
import random
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from _measure import machine, say, served

from crosswheel import targets
from crosswheel.deploy.assembling import assembler_for, chosen
from crosswheel.deploy.deploying import deploy
from crosswheel.deploy.ssh import Address, Connection
from crosswheel.files import sha256_of
from crosswheel.index.site import write_site
from crosswheel.process import Runner
from crosswheel.settings import Settings
from crosswheel.simulator.image import image_for
from crosswheel.simulator.look_alike import ALIAS, Simulation, running
from crosswheel.targets import Robot
from crosswheel.wheels.proof import Proof

_CHECKOUT = Path(__file__).parents[1]
_CROSSWHEEL = Path(sys.executable).with_name("crosswheel")
_REQUIREMENT = "prefect==3.3.4"
_CHANGED = "humanize"  # pure, small, wanted by Prefect
_ENVIRONMENT = "/var/by-pip"
_ANSWER = "prefect version"
_TEST = ("--test", _ANSWER)


@dataclass(frozen=True)
class Deployed:
    """What `crosswheel deploy` said, and when: seconds from the command to each line, and to its end."""

    lines: tuple[tuple[float, str], ...]
    seconds: float

    @property
    def files(self) -> int:
        """How many files were sent."""
        return int(self._row[1])

    @property
    def sent(self) -> int:
        """How many bytes were sent."""
        return int(float(self._row[2]) * {"MB": 1e6, "kB": 1e3, "bytes": 1}[self._row[3]])

    @property
    def until_trial(self) -> float:
        """How long it took until the program was started."""
        return next(when for when, text in self.lines if text.startswith(f"{ALIAS}: trying"))

    @property
    def _row(self) -> list[str]:
        (row,) = [text.split() for _, text in self.lines if text.startswith(f"{ALIAS} ")]
        return row[1:]

    @property
    def phases(self) -> str:
        """How long each step took."""
        marks = [
            (when, text.partition(": ")[2])
            for when, text in self.lines
            if text.startswith(f"{ALIAS}: ") and not text[len(ALIAS) + 2].isdigit()  # how far it has come
        ]
        ends = [when for when, _ in marks[1:]] + [self.seconds]
        steps = [
            f"{text.split()[0].rstrip(':')} {end - begun:.1f}" for (begun, text), end in zip(marks, ends)
        ]
        return ", ".join([f"before the connection {marks[0][0]:.1f}", *steps])


@dataclass(frozen=True)
class Sides:
    """A running robot, and the trees of wheels and locks before and after one package changes."""

    simulation: Simulation
    before: Path
    after: Path

    def command(self, tree: Path, *more: str) -> list[str]:
        """Return the words that deploy from a tree."""
        trees = ["--recipes", str(tree / "packages"), "--dist-tree-root", str(tree / "dist")]
        robot = ["--ssh-config", str(self.simulation.ssh_config), "--robot", ALIAS]
        return [str(_CROSSWHEEL), "deploy", _REQUIREMENT, *trees, *robot, *more]

    def deploy(self, tree: Path, *more: str) -> Deployed:
        """Deploy from a tree."""
        begun, lines = time.monotonic(), []
        child = subprocess.Popen(self.command(tree, *more), stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        for line in child.stdout:
            lines.append((time.monotonic() - begun, line.rstrip()))
        if child.wait() != 0:
            sys.exit("deploy failed")
        return Deployed(tuple(lines), time.monotonic() - begun)

    def ssh(self, command: str) -> str:
        """Run a command on the robot, as a login does."""
        words = ["ssh", "-F", str(self.simulation.ssh_config), ALIAS, f". /etc/profile; {command}"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{command} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout

    def verify(self) -> list[str]:
        """Return what the robot finds wrong with its environment."""
        words = [str(_CROSSWHEEL), "verify", "prefect", "--ssh-config", str(self.simulation.ssh_config)]
        done = subprocess.run([*words, "--robot", ALIAS], capture_output=True, text=True, check=False)
        return [] if done.returncode == 0 else done.stderr.splitlines()


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


@dataclass(frozen=True)
class ByPip:
    """How long the robot's own pip took, and the program to answer afterwards."""

    until_trial: float
    answer: float

    @property
    def seconds(self) -> float:
        """How long all of it took."""
        return self.until_trial + self.answer


def by_pip(sides: Sides, index: str, what: str) -> ByPip:
    """Install with the robot's own pip, and let the program answer."""
    install = (
        f"[ -d {_ENVIRONMENT} ] || python3 -m venv --without-pip {_ENVIRONMENT}; "
        f"pip --python {_ENVIRONMENT} install --root / --no-cache-dir --disable-pip-version-check -q "
        f"--index-url {index} {what}"
    )
    took = seconds(partial(sides.ssh, install))
    return ByPip(took, seconds(partial(sides.ssh, f"{_ENVIRONMENT}/bin/{_ANSWER}")))


def measure(sides: Sides, folder: Path) -> None:
    """Print the comparison."""
    for tree, name in ((sides.before, "site-1"), (sides.after, "site-2")):
        write_site(tree / "dist", folder / name)
    first, second = served(folder / "site-1"), served(folder / "site-2")
    print(machine(), flush=True)
    assembled = sides.deploy(sides.before, *_TEST)
    tell("the very first, which also puts the environment together on this machine", assembled)
    sides.ssh("rm -rf /var/user-packages")
    ours = [sides.deploy(tree, *_TEST) for tree in (sides.before, sides.after)]
    for what, done in zip(("first", "one package changed"), ours):
        tell(what, done)
    theirs = [
        by_pip(sides, first, _REQUIREMENT),
        by_pip(sides, second, f"--upgrade --upgrade-strategy eager {_REQUIREMENT}"),
    ]
    # What only somebody can ask for who knows which package changed; a further version, so that there is work to do.
    sides.ssh(f"pip --python {_ENVIRONMENT} uninstall -qy {_CHANGED}")
    knowing = by_pip(sides, second, f"--no-deps {_CHANGED}")
    nothing = "ssh alone", "ssh and a Python that does nothing"
    for what, command in zip(nothing, ("true", "python3 -I -S -c ''")):
        print(f"{what}: {min(seconds(partial(sides.ssh, command)) for _ in range(3)):.1f} s")
    for what, own, other in zip(("first", "one package changed"), ours, theirs):
        print(compared(what, own, other))
    print(f"bytes sent the second time: {100 * ours[1].sent / ours[0].sent:.2f} % of the first time")
    print(f"pip told which package changed, to install that alone: {knowing.until_trial:.1f} s", flush=True)
    natively(sides, folder)


def compared(what: str, own: Deployed, other: ByPip) -> str:
    """Put both sides beside each other: all of it, and without the program's own answer."""
    return (
        f"{what}: pip {other.seconds:.1f} s, crosswheel {own.seconds:.1f} s: {other.seconds / own.seconds:.1f} x; "
        f"until `{_ANSWER}` is started, pip {other.until_trial:.1f} s, crosswheel {own.until_trial:.1f} s: "
        f"{other.until_trial / own.until_trial:.1f} x"
    )


def tell(what: str, done: Deployed) -> None:
    """Print what one deployment took."""
    print(f"{what}: {done.seconds:.1f} s ({done.phases}); {done.sent} bytes, {done.files} files", flush=True)


class Here(Address):
    """This machine as a robot: the agent is started by its own Python, without ssh and emulator."""

    def command(self, *words: str) -> list[str]:
        """Return the words that start the agent."""
        return [sys.executable, *words[1:]]


def natively(sides: Sides, folder: Path) -> None:
    """Print how long the robot's part takes without an emulator: the same files, put onto this machine."""
    ot2 = targets.load("ot2")
    soabi, version = str(sysconfig.get_config_var("SOABI")), platform.python_version()
    here = ot2.model_copy(
        update={
            "machine": platform.machine(),
            "python": ot2.python.model_copy(update={"version": version, "soabi": soabi}),
            "abi": ot2.abi.model_copy(update={"glibc": "2.17"}),
        }
    )
    place = Robot(store=str(folder / "here" / "store"), programs=str(folder / "here" / "programs"))
    took = []
    for tree in (sides.before, sides.after):
        wanted, wheels = chosen(_REQUIREMENT, tree / "packages", tree / "dist", ot2)
        made = assembler_for(ot2, Settings.from_environment()).release(wanted, wheels, "prefect")
        made = dataclasses.replace(made, target=here, test=())
        with Connection(Here("here")) as connection:
            took.append(deploy(made, place, connection, lambda text: None).seconds)
    print(f"the same by a native agent, without ssh and test: first {took[0]:.1f} s, then {took[1]:.1f} s")


def kill(sides: Sides, number: int) -> None:
    """Break deployments off at random moments; tell how many left anything but a whole version."""
    chance = random.Random(1)
    sides.deploy(sides.before)
    longest = sides.deploy(sides.after).seconds + 1
    broken = 0
    for attempt in range(number):
        if attempt % 5 == 4:
            sides.ssh(
                "rm -rf /var/user-packages/crosswheel/packages/.un*"
            )  # a fresh transfer of it all, again
        tree = (sides.after, sides.before)[attempt % 2]
        child = subprocess.Popen(
            sides.command(tree), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        time.sleep(chance.uniform(0.2, longest))
        if attempt % 3 == 2:  # the robot's side dies, not ours
            sides.ssh("kill -9 $(pidof python3) 2>/dev/null; true")
        child.kill()
        child.wait()
        sides.ssh("while pidof python3 >/dev/null; do sleep 0.1; done")
        faults = sides.verify()
        broken += bool(faults)
        print("\n".join(faults), end="", flush=True)
        if attempt % 10 == 9:
            say(f"{attempt + 1} of {number} broken off")
    print(f"{number} deployments broken off at random moments: {broken} left a broken environment")
    sides.ssh(_ANSWER)


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dist", type=Path, default=_CHECKOUT / "dist")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--only-kills", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runner = Runner(log=folder / "log.txt")
        cache = Settings.from_environment().cache
        image = image_for(targets.load("ot2"), Settings.from_environment(), runner)
        os.environ["CROSSWHEEL_CACHE"] = str(without_environments(cache, folder / "cache"))
        before, after = trees(options.dist, folder)
        untouched = digest_of_tree(image.root)
        with running(image, folder / "robot", runner, var_size="2g") as simulation:
            sides = Sides(simulation, before, after)
            if not options.only_kills:
                measure(sides, folder)
            if options.kills:
                kill(sides, options.kills)
        same = "byte-identical" if digest_of_tree(image.root) == untouched else "CHANGED"
        print(f"the image's packages after all: {same}")


def without_environments(cache: Path, folder: Path) -> Path:
    """Make a cache that has all of another one but what was put together for robots; return it."""
    folder.mkdir()
    for entry in cache.iterdir():
        if entry.name not in ("installed", "agents"):
            (folder / entry.name).symlink_to(entry)
    return folder


def digest_of_tree(root: Path) -> str:
    """Name the files of a folder by their content."""
    files = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    rows = [f"{path.relative_to(root)} {path.stat().st_mode} {sha256_of(path)}" for path in files]
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


if __name__ == "__main__":
    main()
