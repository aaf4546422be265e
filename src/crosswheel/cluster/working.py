"""Does on a worker what a command orders: makes and proves wheels, in folders and caches of its own."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from distributed import Worker, WorkerPlugin, get_worker
from rich.console import Console

from crosswheel.cluster.memory import logged_peak
from crosswheel.cluster.orders import Answer, Make, Order
from crosswheel.cluster.parcels import Roots, roots_of, unpack_run, unpacked
from crosswheel.errors import CrosswheelError, StorageError, UsageError
from crosswheel.files import make_folder, remove_tree
from crosswheel.job.context import BuildContext, Trees
from crosswheel.job.handing import hand_over, handed_file, handed_wheel
from crosswheel.job.making import make
from crosswheel.job.proving import Candidate, proven_here
from crosswheel.job.single_flight import SingleFlight
from crosswheel.process import Cancellation
from crosswheel.progress.events import Display
from crosswheel.progress.state import Ended
from crosswheel.registry import Registry
from crosswheel.registry.gateway import reaching_private
from crosswheel.sandbox.levels import find_sandbox
from crosswheel.settings import Settings
from crosswheel.shared_cache.configured import shared_cache_of
from crosswheel.wheels.proof import Proof

PLUGIN = "crosswheel"
"""The name of the plugin that workers have."""
Tell = Callable[[str, str], None]
"""Receives what goes on: a kind of event, and a text."""
_UNWANTED = ("cancelled", "resumed", "released", "forgotten")
_LOG_BYTES = 1 << 20
_FULL_BYTES = 64_000_000


@dataclass(frozen=True)
class OpenRun:
    """A run as this worker does it: the context of its steps, and the folders that its orders speak of."""

    context: BuildContext
    roots: Roots


@dataclass
class StepWorker(WorkerPlugin):  # type: ignore[misc]
    """All that a worker keeps between orders; it ends the programs of an order that is no longer wanted.

    Attributes:
        folder: where it works; it is emptied when the worker starts.
        title: the worker's name, for people.
        shared_caches: the stores to use, if they have other addresses here than for the command.
    """

    settings: Settings
    folder: Path
    title: str
    shared_caches: tuple[str, ...] = ()
    name: str = PLUGIN

    def setup(self, worker: Worker) -> None:
        """Begin with empty folders."""
        self._wanted: dict[str, Cancellation] = {}
        self._flights = SingleFlight()
        remove_tree(self.folder)
        make_folder(self.folder)

    def teardown(self, worker: Worker) -> None:
        """End all programs: the worker stops, or its scheduler is gone."""
        for key in list(self._wanted):
            self._cancel(key)

    def transition(self, key: str, start: str, finish: str, **details: object) -> None:
        """End the programs of an order that was cancelled, which Dask itself lets go on."""
        if finish in _UNWANTED:
            self._cancel(key)

    def _cancel(self, key: str) -> None:
        cancellation = self._wanted.get(key)
        if cancellation is not None:  # in a thread, because programs may take seconds to end
            threading.Thread(target=cancellation.cancel).start()

    def work(self, key: str, order: Order, tell: Tell) -> Answer:
        """Do what is ordered; what went wrong is in the answer."""
        cancellation = self._wanted[key] = Cancellation()
        try:
            opened = self._flights.get((order.session, order.run), lambda: self._open(order, tell))
            context = replace(opened.context, display=Teller(tell), cancellation=cancellation)
            return self._done(order, opened.roots, context)
        except CrosswheelError as error:
            return Answer(self.title, None, error)
        finally:
            del self._wanted[key]

    def _done(self, order: Order, roots: Roots, context: BuildContext) -> Answer:
        try:
            result = _result(unpacked(order.body, roots), context)
            return Answer(
                self.title, result, peak_bytes=logged_peak(context.log(order.package, order.version))
            )
        except CrosswheelError as error:
            log = context.log(order.package, order.version)
            text = log.read_bytes()[-_LOG_BYTES:] if log.is_file() else b""
            told = type(error)(context.public(error.message), hint=context.public(error.hint))
            return Answer(self.title, None, _explained(told, self.folder), text)
        finally:
            remove_tree(context.folder(order.package, order.version))

    def _open(self, order: Order, tell: Tell) -> OpenRun:
        folder = self.folder / f"{order.session}-{order.run[:12]}"
        settings = replace(self.settings, shared_caches=self.shared_caches or order.shared_caches)
        cache = shared_cache_of(settings, partial(tell, "warning"))
        if cache is None:
            raise UsageError(
                f"{self.title} is offline, so it can take nothing from the shared cache",
                hint="start the worker without CROSSWHEEL_OFFLINE.",
            )
        trees = Trees(folder / "build", folder / "dist", folder / "index")
        run = unpack_run(handed_file(order.run, folder / "run.tar.gz", cache), folder / "run", trees.build)
        settings = replace(settings, sandbox=find_sandbox(run.sandbox).level, indexes=run.indexes)
        registry = Registry(settings)
        # Both stay open until the worker ends: one for each command that it works for.
        reaching = contextlib.ExitStack().enter_context(reaching_private(settings, registry))
        context = BuildContext(
            run.target,
            run.recipes,
            reaching,
            trees,
            registry,
            Teller(tell),
            Cancellation(),
            run.prefer,
            no_binary=run.no_binary,
            only_binary=run.only_binary,
            shared_cache=cache,
            limits=run.limits,
        )
        return OpenRun(context.offering(run.projects), roots_of(run.recipes.folder, trees.build))


def work_off(order: Order) -> Answer:
    """Do what is ordered, on the worker that Dask calls this on."""
    worker = get_worker()
    plugin = worker.plugins[PLUGIN]
    key = worker.get_current_task()

    def tell(kind: str, text: str) -> None:
        worker.log_event(order.session, {"key": key, "worker": plugin.title, "kind": kind, "text": text})

    answer: Answer = plugin.work(key, order, tell)
    return replace(answer, address=worker.address)


def _result(job: Make | Candidate, context: BuildContext) -> str | Proof:
    cache, file = context.shared_cache, job.step.file
    assert cache is not None
    if file is not None and file.origin:  # the user's own project
        handed_file(file.sha256, context.registry.kept(file.sha256, file.filename), cache)
    if isinstance(job, Make):
        return hand_over(make(job.step, job.store, context), cache)
    record, *needed = (handed_wheel(wheel, context) for wheel in (job.record, *job.needed))
    return proven_here(replace(job, record=record, needed=needed), context)


def _explained(error: CrosswheelError, folder: Path) -> CrosswheelError:
    """Return the error to tell: programs that a full disk stops seldom say so."""
    free = shutil.disk_usage(folder).free
    if isinstance(error, StorageError) or free >= _FULL_BYTES:
        return error
    return StorageError(
        f"the disk of the worker is full ({free} bytes are free): {error.message}",
        hint="free some space there, and run the same command again: it goes on where it stopped.",
    )


class Teller(Display):
    """Tells the command what goes on here."""

    def __init__(self, tell: Tell) -> None:
        super().__init__(Console(quiet=True), verbose=False)
        self._tell = tell

    def close(self) -> None:
        """Do nothing: the command draws."""

    def start(self, package: str, version: str, step: str) -> None:
        """Tell that work begins, with the step named."""
        self._tell("step", step)

    def step(self, package: str, step: str) -> None:
        """Tell the next step."""
        self._tell("step", step)

    def detail(self, package: str, text: str) -> None:
        """Do nothing: what is of passing interest stays here."""

    def line(self, package: str, text: str) -> None:
        """Do nothing: what programs print is in the log."""

    def message(self, text: str) -> None:
        """Tell a remark."""
        self._tell("message", text)

    def warning(self, text: str) -> None:
        """Tell something the user should know."""
        self._tell("warning", text)

    def _announce(self, ended: Ended) -> None:
        """Do nothing: the answer tells how it ended."""
