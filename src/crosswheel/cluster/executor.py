"""Gives the steps of a run to the workers of a cluster, and takes what they made."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

from distributed import Client, Future
from distributed.scheduler import KilledWorker

from crosswheel.build.requirements import RequirementsStore
from crosswheel.cluster.memory import RESOURCE, needed_memory, note_memory, within
from crosswheel.cluster.orders import Answer, Make, Order
from crosswheel.cluster.parcels import pack_run, packed, roots_of
from crosswheel.cluster.working import work_off
from crosswheel.errors import (
    BuildFailed,
    CrosswheelError,
    HostError,
    IntegrityError,
    Interrupted,
    MissingToolError,
    NetworkError,
    StorageError,
)
from crosswheel.files import write_bytes
from crosswheel.job.context import BuildContext
from crosswheel.job.handing import hand_over, hand_over_file, handed_record, is_on_registry
from crosswheel.job.proving import Candidate
from crosswheel.job.record import WheelRecord
from crosswheel.job.single_flight import SingleFlight
from crosswheel.plan import Step
from crosswheel.process import Cancellation
from crosswheel.progress import Display
from crosswheel.wheels.proof import Proof

# What may be wrong with one worker alone: another one gets the same work then.
_OF_WORKER = (HostError, IntegrityError, Interrupted, MissingToolError, NetworkError, StorageError)
_ATTEMPTS = 3
_POLL_SECONDS, _COUNT_SECONDS = 0.5, 1.0
# An answer is small, but a busy machine may take a while to fetch it, and Dask fails if that is ended in its middle.
_FETCH_SECONDS = 60.0
# What a trial needs to know of the other wheels that are installed for it.
_OF_OTHERS = {
    "name",
    "version",
    "wheel",
    "sha256",
    "size",
    "origin",
    "reason",
    "source",
    "requires",
    "shared_as",
}
_Asked = TypeVar("_Asked")
_Verb = Literal["make", "prove"]


@dataclass
class ClusterExecutor:
    """Makes and proves wheels on the workers of a cluster (:class:`crosswheel.job.context.StepExecutor`)."""

    client: Client
    address: str
    session: str = field(default_factory=lambda: secrets.token_hex(6))
    _shown: dict[str, tuple[Display, str]] = field(default_factory=dict)
    _flights: SingleFlight = field(default_factory=SingleFlight)
    _counted: tuple[float, int] = (0.0, 0)

    def __post_init__(self) -> None:
        self.client.subscribe_topic(self.session, self._show)

    @property
    def at_once(self) -> int:
        """One step for each slot of a worker, and one that is on its way."""
        then, count = self._counted
        if time.monotonic() - then > _COUNT_SECONDS:
            count = sum(self._ask(self.client.nthreads).values())
            self._counted = (time.monotonic(), count)
        return count + 1

    def made(self, step: Step, store: RequirementsStore, context: BuildContext) -> WheelRecord:
        """Return the audited wheel of a step, in this machine's cache."""
        digest = self._done("make", step, Make(step, store), context)
        assert isinstance(digest, str)
        record = handed_record(digest, step.file if step.action == "take" else None, context)
        self._flights.get(("handed", record.sha256, record.shared_as), lambda: digest)
        return record

    def proven(self, candidate: Candidate, context: BuildContext) -> Proof:
        """Return the proof of a wheel, tested with the wheels that it needs."""
        cache = context.shared_cache
        assert cache is not None
        for item in (candidate.record, *candidate.needed):
            if not is_on_registry(item):
                key = ("handed", item.sha256, item.shared_as)
                self._flights.get(key, partial(hand_over, item, cache))
        others = [
            WheelRecord.model_validate(item.model_dump(include=_OF_OTHERS)) for item in candidate.needed
        ]
        proof = self._done("prove", candidate.step, replace(candidate, needed=others), context)
        assert isinstance(proof, Proof)
        return proof

    def _done(self, verb: _Verb, step: Step, job: Make | Candidate, context: BuildContext) -> str | Proof:
        """Have an order done, elsewhere if something is wrong with one worker; return its result.

        Raises:
            CrosswheelError: of the step that failed, or of the last worker that could not do it.
        """
        order = self._order(verb, step, job, context)
        tried: dict[str, Answer] = {}
        while True:
            answer = self._answer(order, step, context, tried)
            if answer.error is None:
                assert answer.result is not None
                if verb == "make":
                    note_memory(step.pin.name, answer.peak_bytes, context.settings.cache)
                return answer.result
            tried[answer.address] = answer
            elsewhere = len(tried) < _ATTEMPTS and self._others(tried)
            if not isinstance(answer.error, _OF_WORKER) or not elsewhere:
                raise _failed(answer, step, context)
            context.display.warning(
                f"{step.pin} goes elsewhere, as {answer.worker} cannot do it: {answer.error}"
            )

    def _order(self, verb: _Verb, step: Step, job: Make | Candidate, context: BuildContext) -> Order:
        cache, file = context.shared_cache, step.file
        assert cache is not None
        if file is not None and file.origin:  # the user's own project, which no registry has
            handed = partial(hand_over_file, context.registry.fetch(file), cache)
            self._flights.get(("file", file.sha256), handed)
        key = ("run", context.target.name, id(context.recipes), id(context.projects))
        run, _ = self._flights.get(
            key, lambda: (_handed_run(context), context)
        )  # kept, so that no id is used again
        body = packed(job, roots_of(context.recipes.folder, context.trees.build))
        stores = tuple(map(store_address, context.settings.shared_caches))
        return Order(verb, step.pin.name, step.pin.version, run, self.session, body, stores)

    def _answer(self, order: Order, step: Step, context: BuildContext, tried: Mapping[str, Answer]) -> Answer:
        key = f"{order.verb}-{order.package}-{order.version}-{secrets.token_hex(4)}"
        self._shown[key] = (context.display, order.package)
        context.display.start(order.package, order.version, "queued")
        others = self._others(tried)
        offered = {address: memory for address, memory in self._offered().items() if address in others}
        memory = within(needed_memory(order.verb, step, context.limits, context.settings.cache), offered)
        submit = partial(
            self.client.submit,
            work_off,
            order,
            key=key,
            pure=False,
            resources={RESOURCE: memory},
            priority=1 if order.verb == "prove" else 0,
            workers=others if tried else None,
        )
        try:
            return self._result(self._ask(submit), step, context.display, context.cancellation)
        finally:
            del self._shown[key]

    def _result(self, future: Future, step: Step, display: Display, cancellation: Cancellation) -> Answer:
        is_done = threading.Event()
        future.add_done_callback(lambda _: is_done.set())
        try:
            while True:
                if is_done.wait(_POLL_SECONDS):
                    try:
                        answer: Answer = future.result(timeout=_FETCH_SECONDS)
                        return answer
                    except (TimeoutError, asyncio.TimeoutError):
                        if future.status == "error":  # the work's own, which another fetch would bring again
                            raise
                cancellation.raise_if_requested()
                if not self.at_once - 1:
                    told = partial(display.warning, f"no worker has joined {self.address} yet")
                    self._flights.get("deserted", told)
        except KilledWorker as killed:
            raise BuildFailed(
                f"{step.pin}: {killed.allowed_failures + 1} workers died while they worked on it, the last of them "
                f"{killed.last_worker.name}",
                hint="it may need more memory than they have: state memory_limit in a recipe for it, which a worker "
                "then has to have free; the workers' own logs tell more.",
            ) from killed
        except (CancelledError, asyncio.CancelledError) as lost:
            cancellation.raise_if_requested()
            raise self._gone() from lost
        finally:
            if not future.done():
                future.cancel()

    def _others(self, tried: Mapping[str, Answer]) -> list[str]:
        return [address for address in self._ask(self.client.nthreads) if address not in tried]

    def _offered(self) -> dict[str, float]:
        workers = self._ask(partial(self.client.scheduler_info, n_workers=-1))["workers"]
        return {address: facts["resources"].get(RESOURCE, 0.0) for address, facts in workers.items()}

    def _ask(self, question: Callable[[], _Asked]) -> _Asked:
        try:
            if self.client.status == "running":
                return question()
        except (OSError, asyncio.TimeoutError) as error:
            raise self._gone() from error
        raise self._gone()

    def _gone(self) -> HostError:
        return HostError(
            f"the scheduler at {self.address} is gone",
            hint="start it again, and then the same command: what its workers stored until now is found.",
        )

    def _show(self, event: tuple[float, dict[str, str]]) -> None:
        said = event[1]
        display, package = self._shown.get(said["key"], (None, ""))
        if display is None:
            return
        if said["kind"] == "step":
            display.step(package, said["text"])
            display.detail(package, f"on {said['worker']}")
        else:
            tell = display.warning if said["kind"] == "warning" else display.message
            tell(f"{said['worker']}: {said['text']}")


def store_address(url: str) -> str:
    """Return the address of a store as it is given to workers; that of a folder is absolute."""
    return url if "://" in url else str(Path(url).resolve())


def _handed_run(context: BuildContext) -> str:
    """Hand over what all steps of a context share; return the digest by which workers ask for it."""
    assert context.shared_cache is not None
    if context.userland is not None:
        raise HostError(
            f"the libraries of {context.target.title} were learned on this machine, and no worker has them",
            hint="build without --cluster, or for the target as it comes with crosswheel.",
        )
    with tempfile.TemporaryDirectory() as folder:
        return hand_over_file(pack_run(context, Path(folder) / "run.tar.gz"), context.shared_cache)


def _failed(answer: Answer, step: Step, context: BuildContext) -> CrosswheelError:
    """Return the error of a step, and put the log of it where it would be if it had run here."""
    assert answer.error is not None
    if answer.log:
        write_bytes(context.log(step.pin.name, step.pin.version), answer.log)
    return type(answer.error)(f"{answer.error.message}\n    (on {answer.worker})", hint=answer.error.hint)
