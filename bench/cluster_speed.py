"""What does a cluster cost and gain, and does it make the same wheels whatever is killed?

``--simulate`` reckons how well 2, 4, 8 and 32 workers are used by 500 packages, whose durations are drawn from those
that the proofs in ``dist/`` state: each is made, those first that are built from source, and then tried. ``--real``
builds packages from their sources with local threads, and with a scheduler and two workers on this machine, which have
folders and caches of their own, with the tools in them; the same processors do both. ``--kills N`` ends a random one of
worker, command and scheduler, or takes the store away for a while, N times in the middle of a build, gives the same
command until it succeeds, and compares all wheels to the byte with those that were made undisturbed. Without any of
them all three are measured.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from _measure import ROOT, machine, say, show, stop, timed, usual_environment, workspace

from crosswheel.settings import Settings

_PACKAGES, _WORKERS = 500, (2, 4, 8, 32)
_TRIAL_SECONDS, _OVERHEAD_SECONDS = 2.0, 0.3
_GOAL_EFFICIENCY, _GOAL_RATIO = 0.8, 1.1
# What the main job builds in C and C++.
_REAL = (
    "asyncpg==0.30.0", "regex==2024.11.6", "ujson==5.10.0", "greenlet==3.2.1", "sqlalchemy==2.0.40", "pyyaml==6.0.2",
    "cffi==1.17.1", "ruamel.yaml.clib==0.2.12", "websockets==15.0.1", "wrapt==1.17.2", "markupsafe==3.0.2",
)  # fmt: skip
_KILLED = ("markupsafe==3.0.2", "wrapt==1.17.2", "websockets==15.0.1")
_PATIENCE, _ATTEMPTS = 120, 6
# What of the cache is tools; the rest is what was built with them.
_TOOLS = ("cargo", "debian", "fortran", "python", "qemu-user", "roots", "rust", "zig")
CROSSWHEEL = str(Path(sys.executable).with_name("crosswheel"))


def efficiency(seconds: Sequence[float], workers: int) -> float:
    """Return which part of the workers' time is spent on packages, if each is made and then proven in this order.

    Between two steps a worker waits for the next order, and for what it hands over.
    """
    free = [0.0] * workers
    to_prove: list[float] = []
    makings = list(seconds)
    while makings or to_prove:
        now = heapq.heappop(free)
        if to_prove and (to_prove[0] <= now or not makings):
            began, work = max(now, heapq.heappop(to_prove)), _TRIAL_SECONDS
        else:
            began, work = now, makings.pop(0)
            heapq.heappush(to_prove, began + _OVERHEAD_SECONDS + work)
        heapq.heappush(free, began + _OVERHEAD_SECONDS + work)
    useful = sum(seconds) + _TRIAL_SECONDS * len(seconds)
    return useful / (workers * max(free))


def simulate(dist: Path) -> bool:
    """Print the table of efficiencies; return whether the goal was met."""
    proofs = [json.loads(path.read_text()) for path in sorted(dist.rglob("*.proof.json"))]
    if not proofs:
        stop(
            f"{dist} has no proofs to draw durations from; run the main job first, or name another with --dist"
        )
    # A run begins with what is built.
    drawn = sorted(
        random.Random(1).choices(proofs, k=_PACKAGES), key=lambda proof: proof["origin"] != "built"
    )
    seconds = [proof["seconds"] or _TRIAL_SECONDS for proof in drawn]
    found = {count: efficiency(seconds, count) for count in _WORKERS}
    recorded = [proof["seconds"] or _TRIAL_SECONDS for proof in proofs]
    rows = [[str(count), f"{share:.2f}"] for count, share in found.items()]
    show(f"{_PACKAGES} packages, simulated", ("workers", "efficiency"), rows, right=("workers", "efficiency"))
    print(
        f"Durations are drawn from {len(recorded)} recorded ones, median {statistics.median(recorded):.1f} s, longest "
        f"{max(recorded):.1f} s. A trial takes {_TRIAL_SECONDS} s, a step {_OVERHEAD_SECONDS} s to and from its worker."
    )
    whole = sum(seconds) + _TRIAL_SECONDS * _PACKAGES
    print(
        f"The longest alone allows {whole / (max(seconds) + _TRIAL_SECONDS):.0f} workers to be of full use."
    )
    print(f"Goal: at least {_GOAL_EFFICIENCY} with 8 workers.\n", flush=True)
    return found[8] >= _GOAL_EFFICIENCY


@dataclass
class Farm:
    """A scheduler and workers on this machine, with folders and caches of their own."""

    folder: Path
    workers: int = 2
    programs: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    url: str = ""

    @property
    def environment(self) -> dict[str, str]:
        return {**usual_environment(), "CROSSWHEEL_KEYS": str(self.folder / "keys")}

    def begin(self) -> None:
        for words in (("keys", "new"), ("keys", "cluster")):
            timed([CROSSWHEEL, *words], self.folder / "keys.log", env=self.environment)
        self.start_scheduler()
        for number in range(1, self.workers + 1):
            warm_cache(self.folder / f"cache-{number}")
            self.start_worker(number)

    def start_scheduler(self) -> None:
        words = ["scheduler", "--listen", self.url or "tls://127.0.0.1:0", "--dashboard", "127.0.0.1:0"]
        self._start("scheduler", words, "The scheduler listens at")
        said = (self.folder / "scheduler.log").read_text().splitlines()
        self.url = next(line for line in said if "listens at" in line).split()[-1]

    def start_worker(self, number: int) -> None:
        words = ["worker", self.url, "--name", f"worker-{number}", "--slots", "1"]
        cache = {"CROSSWHEEL_CACHE": str(self.folder / f"cache-{number}")}
        self._start(f"worker-{number}", words, "works for", **cache)

    def _start(self, name: str, words: Sequence[str], ready: str, **more: str) -> None:
        log = self.folder / f"{name}.log"
        with log.open("wb") as stream:
            self.programs[name] = subprocess.Popen(
                [CROSSWHEEL, *words], env={**self.environment, **more}, stdout=stream, stderr=stream
            )
        end = time.monotonic() + _PATIENCE
        while ready not in log.read_text(errors="replace"):
            if time.monotonic() > end:
                stop(f"{name} does not start: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)

    def build(self, place: Path, requirements: Sequence[str], store: Path) -> list[str]:
        """Return the words of a build."""
        return [*build_words(place, requirements), "--cluster", self.url, "--shared-cache", str(store)]

    def kill(self, victim: str) -> None:
        """End a worker's process, which its program starts again, or the scheduler, as a power failure would."""
        program = self.programs[victim]
        if victim == "scheduler":
            program.kill()
            program.wait()
            self.start_scheduler()
            return
        for child in psutil.Process(program.pid).children():
            if "spawn_main" in " ".join(child.cmdline()):
                child.kill()

    def end(self) -> None:
        for program in self.programs.values():
            program.terminate()
        for program in self.programs.values():
            program.wait()


def warm_cache(folder: Path) -> None:
    """Make a cache that has the tools of the user's own, and nothing that was made with them."""
    folder.mkdir(parents=True)
    for name in _TOOLS:
        own = Settings.from_environment().cache / name
        own.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(own)


@contextmanager
def farm(folder: Path) -> Iterator[Farm]:
    """Run a cluster while the block lasts."""
    folder.mkdir()
    running = Farm(folder)
    try:
        running.begin()
        yield running
    finally:
        running.end()


def build_words(place: Path, requirements: Sequence[str]) -> list[str]:
    trees = [f"--{name}-tree-root={place / name}" for name in ("build", "dist", "index")]
    return [CROSSWHEEL, "build", *requirements, "--as-of", "2025-04-25", "--from-source", "--no-deps",
            "--build-type", "packages-only", *trees]  # fmt: skip


def head(place: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a command with an empty cache, but for tools."""
    if not (place / "cache").exists():
        warm_cache(place / "cache")
    return {**environment, "CROSSWHEEL_CACHE": str(place / "cache")}


def wheels(place: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (place / "dist").rglob("*.whl")}


def real(folder: Path, running: Farm) -> bool:
    """Print how long the same build takes with local threads and with the cluster; return whether the goal was met."""
    here, there = folder / "here", folder / "there"
    alone = timed(
        build_words(here, _REAL), folder / "here.log", cwd=folder, env=head(here, running.environment)
    )
    words = running.build(there, _REAL, folder / "store")
    spread = timed(words, folder / "there.log", cwd=folder, env=head(there, running.environment))
    if wheels(here) != wheels(there):
        stop("the cluster made other wheels")
    rows = [
        ["local threads", f"{alone:.1f}", "1.00"],
        ["a scheduler and two workers", f"{spread:.1f}", f"{spread / alone:.2f}"],
    ]
    columns = ("built by", "seconds", "ratio")
    show(f"{len(wheels(here))} wheels from source, the same to the byte", columns, rows, right=columns[1:])
    print(f"Goal: at most {_GOAL_RATIO}.\n", flush=True)
    return spread / alone <= _GOAL_RATIO


def kills(folder: Path, running: Farm, count: int) -> bool:
    """Disturb a build again and again; print what came of it, and return whether all wheels were the same."""
    chance, place = random.Random(2), folder / "undisturbed"
    took = timed(
        running.build(place, _KILLED, folder / "first"),
        folder / "undisturbed.log",
        cwd=folder,
        env=head(place, running.environment),
    )
    right, rows = wheels(place), []
    for number in range(1, count + 1):
        victim = chance.choice(("worker-1", "worker-2", "scheduler", "command", "store"))
        moment = chance.uniform(0.2, 0.9) * took
        again, same = _disturbed(folder / f"run-{number}", running, victim, moment, right)
        rows.append([str(number), victim, f"{moment:.1f}", str(again), "yes" if same else "NO"])
        say(" ".join(rows[-1]))
    columns = ("run", "ended", "after seconds", "commands", "same wheels")
    show(
        f"{count} random ends in the middle of a build",
        columns,
        rows,
        right=("run", "after seconds", "commands"),
    )
    return all(row[-1] == "yes" for row in rows)


def _disturbed(
    place: Path, running: Farm, victim: str, moment: float, right: Mapping[str, bytes]
) -> tuple[int, bool]:
    """Build, end something in the middle, and build until it succeeds; return how often, and whether it is the same."""
    for number in (1, 2):  # or nothing would be built
        for kind in ("made", "proofs", "handed"):
            shutil.rmtree(running.folder / f"cache-{number}" / kind, ignore_errors=True)
    place.mkdir()
    store, environment = place / "store", head(place, running.environment)
    words = running.build(place, _KILLED, store)
    with (place / "log").open("wb") as log:
        command = subprocess.Popen(words, env=environment, cwd=place, stdout=log, stderr=log)
        time.sleep(moment)
        if victim == "command":
            command.kill()
        elif victim == "store":
            if store.exists():
                store.rename(place / "away")
                store.write_text("no folder")
        else:
            running.kill(victim)
        code = command.wait()
        if (place / "away").exists():
            store.unlink()
            (place / "away").rename(store)
        attempts = 1
        while code != 0 and attempts < _ATTEMPTS:
            attempts += 1
            code = subprocess.call(words, env=environment, cwd=place, stdout=log, stderr=log)
    return attempts, code == 0 and wheels(place) == right


def main() -> None:
    """Measure, and end with 1 if a goal was missed."""
    parser = argparse.ArgumentParser(
        prog="bench/cluster", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--simulate", action="store_true", help="reckon efficiencies from recorded durations")
    parser.add_argument("--real", action="store_true", help="build beside local threads")
    parser.add_argument("--kills", type=int, default=0, metavar="N", help="disturb N builds")
    parser.add_argument("--dist", type=Path, default=ROOT / "dist", help="the proofs that durations are from")
    parser.add_argument("--folder", type=Path, help="work there, and leave everything for a look")
    options = parser.parse_args()
    # Not lost: what runs meanwhile is ended on the way out.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    every, state = not (options.simulate or options.real or options.kills), machine()
    met = [simulate(options.dist)] if options.simulate or every else []
    if options.real or options.kills or every:
        with workspace(options.folder) as folder, farm(folder / "farm") as running:
            met += [real(folder, running)] if options.real or every else []
            count = options.kills or (20 if every else 0)
            met += [kills(folder, running, count)] if count else []
    print(f"On {state}.")
    sys.exit(not all(met))


if __name__ == "__main__":
    main()
