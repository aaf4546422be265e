"""Joins a cluster, or makes one on this machine."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from distributed import Client

from crosswheel.cached import cache_path
from crosswheel.closing import Closing
from crosswheel.cluster.agreement import require_same, versions_here
from crosswheel.cluster.executor import ClusterExecutor
from crosswheel.cluster.keys import VARIABLE, ClusterKeys
from crosswheel.cluster.starting import LISTENS, memory_here
from crosswheel.errors import CrosswheelError, HostError
from crosswheel.files import remove_tree
from crosswheel.process import Cancellation, Runner, this_python
from crosswheel.settings import Settings

_CONNECT_SECONDS, _START_SECONDS = 20, 180  # of a machine that does other work as well
_FOREVER = 10.0**8


@contextlib.contextmanager
def joined_cluster(
    address: str, keys: ClusterKeys, tell: Callable[[str], None], *, expected: int = 0
) -> Iterator[ClusterExecutor]:
    """Yield what gives work to a cluster's workers.

    Args:
        address: the scheduler's.
        tell: receives where the cluster can be watched.
        expected: how many workers to wait for.

    Raises:
        UsageError: this machine has no certificate of the cluster.
        HostError: no scheduler answers, or a machine of the cluster runs other versions than this one.
    """
    security = keys.security(address)
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("distributed")]:
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters is told by our own messages
    try:
        client = Client(address, security=security, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, TimeoutError) as error:
        raise HostError(
            f"no scheduler of the cluster answers at {address}: {error}",
            hint="start one with `crosswheel scheduler`; it and this machine need the same certificates "
            f"({keys.folder}).",
        ) from error
    with client:
        try:
            if expected:
                client.wait_for_workers(expected, timeout=_START_SECONDS)
        except TimeoutError as error:
            raise HostError(f"the workers do not start: {error}", hint="their own logs tell why.") from error
        require_same({f"the scheduler at {address}": _asked(client.run_on_scheduler, address)})
        names = {
            where: f"the worker {facts['name']} ({where})"
            for where, facts in client.scheduler_info(n_workers=-1)["workers"].items()
        }
        said = _asked(client.run, address)
        require_same({names.get(where, where): versions for where, versions in said.items()})
        tell(f"The cluster at {address} has {len(said)} workers; watch them at {client.dashboard_link}")
        yield ClusterExecutor(client, address)


def _asked(ask: Callable[..., Any], address: str) -> Any:
    """Return the versions of others; they run the same function, if they have it."""
    try:
        return ask(versions_here)
    except (ImportError, AttributeError) as error:
        raise HostError(
            f"a machine of the cluster at {address} has no crosswheel that works with this one: {error}",
            hint="install the same versions on all machines of a cluster.",
        ) from error


@contextlib.contextmanager
def local_cluster(
    count: int, settings: Settings, folder: Path, tell: Callable[[str], None]
) -> Iterator[ClusterExecutor]:
    """Yield what gives work to workers on this machine: processes with folders and caches of their own.

    Args:
        count: how many; they share the processors and the memory of this machine.
        folder: for their logs and certificates.

    Raises:
        HostError: they do not start.
    """
    remove_tree(folder)
    keys = ClusterKeys(folder / "keys")
    keys.create()
    programs = _Programs(folder, {**os.environ, VARIABLE: str(keys.folder)})
    with programs:
        address = programs.scheduler()
        slots = max(1, (os.cpu_count() or 1) // count)
        for number in range(1, count + 1):
            own = cache_path(settings.cache, "cluster") / f"cache-{number}"
            words = [
                "--name",
                f"worker-{number}",
                "--slots",
                str(slots),
                "--memory",
                f"{memory_here() // count // 10**6}M",
            ]
            programs.start(f"worker-{number}", ["worker", address, *words], CROSSWHEEL_CACHE=str(own))
        with joined_cluster(address, keys, tell, expected=count) as executor:
            yield executor


class _Programs(Closing):
    """The programs of a local cluster, each in a thread that waits for it."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder, self._environment = folder, environment
        self._cancellation = Cancellation()
        self._threads: list[threading.Thread] = []

    def scheduler(self) -> str:
        """Start the scheduler; return its address."""
        said: queue.Queue[str] = queue.Queue()
        words = ["scheduler", "--listen", "tls://127.0.0.1:0", "--dashboard", "127.0.0.1:0"]
        self.start("scheduler", words, echo=said.put)
        with contextlib.suppress(queue.Empty):
            while True:
                line = said.get(timeout=_START_SECONDS)
                if line.startswith(LISTENS):
                    return line.removeprefix(LISTENS).strip()
        raise HostError(
            "the scheduler of the local cluster does not start", hint=f"see {self._folder / 'scheduler.log'}."
        )

    def start(
        self, name: str, words: list[str], echo: Callable[[str], None] | None = None, **more: str
    ) -> None:
        """Start a command of crosswheel; what it prints is in a log."""
        runner = Runner(self._cancellation, self._folder / f"{name}.log", echo)

        def run() -> None:
            with contextlib.suppress(CrosswheelError):  # its log tells
                command = [this_python(), "-m", "crosswheel", *words]
                runner.run(command, env={**self._environment, **more}, timeout=_FOREVER)

        self._threads.append(threading.Thread(target=run, daemon=True))
        self._threads[-1].start()

    def close(self) -> None:
        """End them all."""
        self._cancellation.cancel()
        for thread in self._threads:
            thread.join()
