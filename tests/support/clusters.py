"""A real cluster on this machine: a scheduler, and workers with folders and caches of their own, over TLS."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from support.command_line import CommandLine, Done
from support.crossing import warm_cache

_PATIENCE = 240  # seconds; only a test that fails waits so long


@dataclass
class Program:
    """A command of crosswheel that goes on running."""

    process: subprocess.Popen[bytes]
    log: Path

    def says(self, text: str, times: int = 1) -> None:
        """Wait until it has printed a text."""
        waited_for(lambda: self.text.count(text) >= times, f"{text!r} in {self.log}")

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def worker(self) -> int:
        """The process in which a worker works; the program itself only watches over it."""
        (found,) = [
            child.pid
            for child in psutil.Process(self.process.pid).children()
            if "spawn_main" in " ".join(child.cmdline())
        ]
        return found

    def kill(self) -> None:
        """End it as a power failure would."""
        self.process.kill()
        self.process.wait()

    def ended(self, sent: signal.Signals | None = None) -> Done:
        """Wait for its end, and say how it ended."""
        if sent is not None:
            self.process.send_signal(sent)
        return Done(self.process.wait(_PATIENCE), self.text)


def waited_for(is_so: object, what: str) -> None:
    """Wait until a function returns something true."""
    assert callable(is_so)
    end = time.monotonic() + _PATIENCE
    while not is_so():
        assert time.monotonic() < end, what
        time.sleep(0.05)


@dataclass
class Cluster:
    """The programs of a cluster; ``url`` is its scheduler's, ``store`` the shared cache."""

    line: CommandLine
    folder: Path
    url: str
    store: str
    programs: dict[str, Program] = field(default_factory=dict)

    def start(self, name: str, *words: str, prefix: Sequence[str] = (), **variables: str) -> Program:
        """Start a command of crosswheel, with words before it; what it prints is in a log."""
        log = self.folder / f"{name}.log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [*prefix, self.line.command, *words],
                cwd=self.line.folder,
                env=self.line.environment(**variables),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
            )
        self.programs[name] = Program(process, log)
        return self.programs[name]

    def start_scheduler(self) -> Program:
        scheduler = self.start("scheduler", "scheduler", "--listen", self.url, "--dashboard", "127.0.0.1:0")
        scheduler.says("The scheduler listens at")
        if self.url.endswith(":0"):  # from now on at the same
            said = next(row for row in scheduler.text.splitlines() if "listens at" in row)
            self.url = said.split()[-1]
        return scheduler

    def start_worker(self, name: str, *words: str, prefix: Sequence[str] = (), **variables: str) -> Program:
        cache = self.folder / f"cache-{name}"
        if not cache.exists():
            warm_cache(cache)
        own = {"CROSSWHEEL_CACHE": str(cache), **variables}
        return self.start(
            name, "worker", self.url, "--name", name, "--slots", "1", *words, prefix=prefix, **own
        )

    def build(self, place: Path, *words: str, **variables: str) -> Program:
        """Begin a build of which nothing lies on this machine: no wheels, and tools only to resolve requirements."""
        own = {} if words else bare_machine(place)
        if words and not (place / "cache").exists():
            warm_cache(place / "cache")
        own = own or {"CROSSWHEEL_CACHE": str(place / "cache")}
        return self.start(place.name, *self.words(place, *words), **{**own, **variables})

    def words(self, place: Path, *words: str) -> tuple[str, ...]:
        """Return the words of a build by the cluster."""
        return ("build", "--cluster", self.url, "--shared-cache", self.store, *trees(place), *words)

    def stop(self) -> None:
        for program in self.programs.values():
            if program.process.poll() is None:
                program.process.terminate()
        for program in self.programs.values():
            program.process.wait(_PATIENCE)


def trees(place: Path) -> tuple[str, ...]:
    """Return the words that let a command work in a folder of its own."""
    return tuple(f"--{name}-tree-root={place / name}" for name in ("build", "dist", "index"))


def bare_machine(place: Path) -> Mapping[str, str]:
    """Return the variables of a machine that has nothing and can get no tool: no compiler, no emulator, no Python."""
    place.mkdir(parents=True, exist_ok=True)
    (place / "none.list").write_text("")
    return {"CROSSWHEEL_CACHE": str(place / "cache"), "CROSSWHEEL_DEBIAN_SOURCES": str(place / "none.list")}


@contextmanager
def cluster(line: CommandLine, folder: Path, workers: int = 2) -> Iterator[Cluster]:
    """Run a scheduler and workers while the block lasts."""
    folder.mkdir()
    running = Cluster(line, folder, "tls://127.0.0.1:0", str(folder / "shared"))
    try:
        running.start_scheduler()
        for number in range(1, workers + 1):
            running.start_worker(f"worker-{number}")
        for number in range(1, workers + 1):
            running.programs[f"worker-{number}"].says("works for")
        yield running
    finally:
        running.stop()


def is_alive(process: int) -> bool:
    """Tell whether a process runs."""
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def worker_of(process: int, workers: Mapping[str, Program]) -> Program:
    """Return the worker that started a process."""
    above = {parent.pid for parent in psutil.Process(process).parents()}
    return next(program for program in workers.values() if program.process.pid in above)
