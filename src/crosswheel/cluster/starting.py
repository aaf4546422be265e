"""Runs a scheduler or a worker until it is stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import dask
from distributed import Client, Nanny, Scheduler, Security

from crosswheel.cached import cache_path
from crosswheel.cluster.agreement import require_same, versions_here
from crosswheel.cluster.keys import ClusterKeys
from crosswheel.cluster.memory import RESOURCE
from crosswheel.cluster.working import StepWorker
from crosswheel.errors import HostError
from crosswheel.files import make_folder
from crosswheel.settings import Settings

KILLS = 3
"""How many workers may die of one package before it is failed."""
LISTENS = "The scheduler listens at "
"""What a scheduler prints before its address."""
_AGAIN_SECONDS = 5.0


def serve_scheduler(address: str, keys: ClusterKeys, dashboard: str, tell: Callable[[str], None]) -> None:
    """Run a scheduler until it is stopped.

    Args:
        address: where it listens; a port of 0 stands for any free one.
        dashboard: where its dashboard listens, as ``host:port``.

    Raises:
        UsageError: this machine has no certificate of the cluster.
        HostError: it cannot listen there.
    """
    parts, security = urlsplit(address), keys.security(address)

    async def serve() -> None:
        scheduler = Scheduler(
            host=parts.hostname,
            port=parts.port or 0,
            protocol=parts.scheme,
            security=security,
            dashboard_address=dashboard,
            allowed_failures=KILLS - 1,
        )
        async with scheduler:
            tell(f"{LISTENS}{scheduler.address}")
            await scheduler.finished()

    try:
        _run(serve())
    except OSError as error:
        raise HostError(
            f"no scheduler can listen at {address}: {error}",
            hint="something else may listen there; name another port, such as --listen tls://0.0.0.0:8790.",
        ) from error


def _run(serving: Coroutine[object, object, None]) -> None:
    """Serve until done; raise :class:`KeyboardInterrupt` if SIGINT or SIGTERM ended that.

    What a signal's handler raises is lost if it comes while Python calls a finalizer, as Dask has many: a scheduler
    then lived on.
    """

    async def until_stopped() -> None:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        await serving

    try:
        asyncio.run(until_stopped())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


@dataclass(frozen=True)
class WorkerPlan:
    """A worker of this machine.

    Attributes:
        slots: how many packages it works on at the same time.
        memory: bytes that they may take together.
        shared_caches: the stores to use, if they have other addresses here than for the command.
    """

    address: str
    name: str
    slots: int
    memory: int
    settings: Settings
    shared_caches: tuple[str, ...] = ()

    def serve(self, keys: ClusterKeys, tell: Callable[[str], None]) -> None:
        """Work for a cluster until stopped; a scheduler that is gone is waited for.

        Raises:
            UsageError: this machine has no certificate of the cluster.
            HostError: the scheduler runs other versions than this machine.
        """
        security = keys.security(self.address)
        top = cache_path(self.settings.cache, "cluster")
        make_folder(top)
        # What Dask would set for the workers' processes, builds would inherit.
        with (
            tempfile.TemporaryDirectory(prefix="worker-", dir=top, ignore_cleanup_errors=True) as folder,
            dask.config.set({"distributed.nanny.pre-spawn-environ": {}}),
        ):
            _run(self._serve(security, Path(folder), tell))

    async def _serve(self, security: Security | None, folder: Path, tell: Callable[[str], None]) -> None:
        is_told = False
        while True:
            try:
                await self._require_same(security)
                async with self._nanny(security, folder) as nanny:
                    tell(f"The worker {self.name} works for {self.address}")
                    is_told = False
                    await nanny.finished()
            except (OSError, asyncio.TimeoutError):
                pass
            if not is_told:
                tell(f"There is no scheduler at {self.address}; it is waited for.")
                is_told = True
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _require_same(self, security: Security | None) -> None:
        async with Client(
            self.address, security=security, asynchronous=True, timeout=_AGAIN_SECONDS, set_as_default=False
        ) as client:
            said = await client.run_on_scheduler(versions_here)
        require_same({f"the scheduler at {self.address}": said})

    def _nanny(self, security: Security | None, folder: Path) -> Nanny:
        plugin = StepWorker(self.settings, folder / "runs", self.name, self.shared_caches)
        return Nanny(
            self.address,
            nthreads=self.slots,
            name=self.name,
            security=security,
            resources={RESOURCE: self.memory},
            memory_limit=0,  # Dask counts only the worker's own process, and not what it starts
            local_directory=str(folder / "dask"),
            plugins=(plugin,),
        )


def memory_here() -> int:
    """Return the bytes of memory that this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
