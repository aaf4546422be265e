"""The commands scheduler and worker, and the options of ``build`` that give its work to a cluster."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from crosswheel.cli.amounts import amount_of
from crosswheel.cli.common_options import SharedCacheOption
from crosswheel.cluster import require_dask
from crosswheel.cluster.keys import PORT, ClusterKeys, scheduler_address
from crosswheel.errors import UsageError
from crosswheel.quantities import BYTES
from crosswheel.settings import Settings
from crosswheel.shared_cache.configured import shared_cache_of

if TYPE_CHECKING:
    from crosswheel.cli.options import Scene
    from crosswheel.cluster.executor import ClusterExecutor

AddressArgument = Annotated[str, typer.Argument(help=f"The scheduler's address, such as tls://head:{PORT}.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(scheduler)
    app.command()(worker)


def scheduler(
    listen: Annotated[
        str, typer.Option("--listen", help="Where it listens for workers and commands.")
    ] = f"tls://0.0.0.0:{PORT}",
    dashboard: Annotated[
        str, typer.Option("--dashboard", help="Where Dask's dashboard is served: host:port, unencrypted.")
    ] = "127.0.0.1:8787",
) -> None:
    """Run the scheduler of a cluster, which gives the work of commands to workers."""
    require_dask()
    from crosswheel.cluster.starting import serve_scheduler

    serve_scheduler(scheduler_address(listen), ClusterKeys.of(Settings.from_environment()), dashboard, _say)


def worker(
    address: AddressArgument,
    slots: Annotated[
        int | None,
        typer.Option("--slots", min=1, help="How many packages at a time; one for each processor."),
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option("--memory", help="What they may take together: 8G; what the machine has, if not given."),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="What it is called in messages.")] = None,
    shared_cache: SharedCacheOption = None,
) -> None:
    """Make and prove wheels for a cluster, with this machine's own folders and caches."""
    require_dask()
    from crosswheel.cluster.starting import WorkerPlan, memory_here

    settings = Settings.from_environment()
    WorkerPlan(
        scheduler_address(address),
        name or f"{socket.gethostname()}-{os.getpid()}",
        slots or os.cpu_count() or 1,
        amount_of(memory, BYTES, "--memory", "8G") if memory else memory_here(),
        settings,
        tuple(shared_cache or ()),
    ).serve(ClusterKeys.of(settings), _say)


def _say(text: str) -> None:
    print(text, flush=True)


@dataclass(frozen=True)
class Clustering:
    """Where packages are built and proven, if not in this process."""

    cluster: Annotated[
        str | None,
        typer.Option(
            "--cluster",
            envvar="CROSSWHEEL_CLUSTER",
            help=f"Build and prove on the workers of a cluster: tls://head:{PORT}. It needs a shared cache.",
        ),
    ] = None
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", min=1, help="The same with workers on this machine, which have caches of their own."
        ),
    ] = None

    @contextlib.contextmanager
    def executor(self, scene: Scene, console: Console) -> Iterator[ClusterExecutor | None]:
        """Yield what gives work to the workers; ``None`` if this process does it.

        Raises:
            UsageError: something is missing that a cluster needs.
            HostError: no scheduler answers, or it runs other versions.
        """
        if self.cluster is None and self.workers is None:
            yield None
            return
        settings = Settings.from_environment()
        self._require(scene, settings)
        require_dask()
        from crosswheel.cluster.connecting import joined_cluster, local_cluster

        def tell(text: str) -> None:
            console.print(text, soft_wrap=True, highlight=False, markup=False)

        joined = (
            joined_cluster(scheduler_address(self.cluster), ClusterKeys.of(settings), tell)
            if self.cluster
            else local_cluster(self.workers or 1, settings, scene.trees.build / "cluster", tell)
        )
        with joined as executor:
            yield executor

    def _require(self, scene: Scene, settings: Settings) -> None:
        if self.cluster and self.workers:
            raise UsageError("--cluster and --workers are two clusters", hint="give one of them.")
        if not scene.shared_caches or scene.shared_cache_read_only:
            raise UsageError(
                "a cluster needs a shared cache to write to, through which its machines hand each other wheels",
                hint="name a store that all of them reach with --shared-cache; docs/cluster.md tells which.",
            )
        if scene.sdk:
            raise UsageError(
                "--sdk is a folder of this machine, and workers have none",
                hint="leave it out, or build without a cluster.",
            )
        cache = shared_cache_of(replace(settings, shared_caches=tuple(scene.shared_caches)), lambda _: None)
        if cache is None:
            raise UsageError(
                "this machine is offline, and a cluster is reached by the network",
                hint="leave CROSSWHEEL_OFFLINE out, or build without a cluster.",
            )
        if not cache.is_writable:
            raise UsageError(
                "a cluster needs a key that signs what goes to its workers through the shared cache",
                hint="make one with `crosswheel keys new`, and trust it on the workers: docs/cluster.md.",
            )
