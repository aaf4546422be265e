"""Runs many requirements, each with a closure of its own: what fails stops no other, and a stopped run goes on.

Where each line stands is kept in a journal (:mod:`crosswheel.index.batches`), from which the index tells it as well.
"""

from __future__ import annotations

import datetime
import heapq
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from typing import Any

from packaging.utils import canonicalize_name

from crosswheel import lock as locks
from crosswheel.build.requirements import RequirementsStore
from crosswheel.errors import CrosswheelError, HostError, Interrupted, NetworkError
from crosswheel.files import digest_of, sha256_of
from crosswheel.index.batches import Journal, LineOutcome, LineResult
from crosswheel.job.asking import Asking
from crosswheel.job.closures import Closure
from crosswheel.job.context import BuildContext
from crosswheel.job.making import make
from crosswheel.job.record import WheelRecord
from crosswheel.job.running import run_closure
from crosswheel.plan import Step
from crosswheel.progress import Row
from crosswheel.progress.nested import NestedDisplay
from crosswheel.wheels.dist import Dist

# How long to wait for a line to end, or to be resolved, before workers are counted again.
_LOOK_SECONDS = 2.0


@dataclass(frozen=True)
class BatchLine:
    """A line of a batch.

    Attributes:
        asking: what it asks for.
        is_settled_by_text: whether its text says all of it; a folder of a project may hold something else each time.
    """

    text: str
    asking: Asking
    is_settled_by_text: bool = True


@dataclass(frozen=True)
class BatchResult:
    """What came of a batch: the rows of its lines, and how many of them failed in an earlier run."""

    rows: tuple[Row, ...]
    failed_earlier: int

    @property
    def exit_code(self) -> int:
        """What a command ends with: the largest of any line."""
        return max((row.exit_code for row in self.rows), default=0)

    @property
    def kinds(self) -> Mapping[str, list[str]]:
        """The failed lines, by what they have in common."""
        kinds: dict[str, list[str]] = {}
        for row in self.rows:
            if row.outcome == "failed":
                kinds.setdefault(row.kind, []).append(row.package)
        return kinds


@dataclass(frozen=True)
class _Resolved:
    """A line that was resolved; its closure is planned again when it is built, as thousands of them fill the memory."""

    line: BatchLine
    size: int
    seconds: float


@dataclass(frozen=True)
class BatchRun:
    """A run of many lines for one target.

    Attributes:
        retry: whether lines that failed are tried again though nothing that they were made from changed.
        on_ended: called after each line.
    """

    context: BuildContext
    retry: bool = False
    on_ended: Callable[[], None] = lambda: None
    _failures: dict[str, CrosswheelError] = field(default_factory=dict)
    _writing: threading.Lock = field(default_factory=threading.Lock)

    @property
    def journal(self) -> Journal:
        """Where the results of lines are kept."""
        return Journal.of(self.context.trees.dist, self.context.target.name)

    def run(self, lines: Sequence[BatchLine]) -> BatchResult:
        """Make and prove the closure of each line, those first that have the fewest needs: others may need them.

        Raises:
            Interrupted: the user asked to stop; the same call goes on from there.
            HostError: nothing can be built on this machine.
            StorageError: the journal cannot be written.
        """
        lines = list({line.text: line for line in lines}.values())
        known = self.journal.read()[1]
        self.journal.begin([line.text for line in lines])
        self.context.display.expect([(line.text, "") for line in lines])
        dist = Dist(self.context.trees.dist).listed()
        settled = {line.text: known[line.text] for line in lines if self._is_settled(line, known, dist)}
        for text, result in settled.items():
            self.context.display.done(
                text, "failed" if result.outcome == "failed" else "found", result.message
            )
        results = dict(settled)
        todo = [line for line in lines if line.text not in settled]
        results.update((result.line, result) for result in self._results(todo))
        rows = tuple(_row(results[line.text], line.text in settled) for line in lines)
        return BatchResult(rows, sum(result.outcome == "failed" for result in settled.values()))

    def _is_settled(self, line: BatchLine, known: Mapping[str, LineResult], dist: Dist) -> bool:
        """Whether a line ended before, with the inputs that it has now."""
        result = known.get(line.text)
        if result is None or not line.is_settled_by_text or result.inputs != self._inputs(line):
            return False
        if result.recipes != self._recipes(result.pins):
            return False
        if result.outcome == "failed":
            passing = result.kind == NetworkError.kind
            return not (self.retry or passing) and result.limits == self._limits
        name = locks.parsed(line.text).name
        return bool(dist.proven(name, result.version or "", self.context.target.name))

    def _resolved(self, line: BatchLine) -> _Resolved | LineResult:
        self.context.cancellation.raise_if_requested()
        began = time.monotonic()
        self.context.display.start(line.text, "", "resolving")
        try:
            closure, _ = line.asking.closure(self._context_of(line))
        except (HostError, Interrupted):
            raise
        except CrosswheelError as error:
            self.context.cancellation.raise_if_requested()
            return self._ended(self._refused(line, error, began))
        self.context.display.wait(line.text)
        return _Resolved(line, len(closure.steps), time.monotonic() - began)

    def _context_of(self, line: BatchLine) -> BuildContext:
        return replace(self.context, display=NestedDisplay(self.context.display, line.text))

    def _refused(self, line: BatchLine, error: CrosswheelError, began: float) -> LineResult:
        return self._result(
            line,
            began,
            outcome="failed",
            kind=error.kind,
            message=self.context.public(str(error)),
            hint=self.context.public(error.hint),
            exit_code=error.exit_code,
        )

    def _results(self, lines: Sequence[BatchLine]) -> Iterator[LineResult]:
        """Resolve lines, and run them in their order, as many at once as can be worked on now.

        Workers of a cluster come and go. One line whose metadata take long to tell holds up no other: while nothing
        else is resolved, those that are run.
        """
        most = self.context.most_threads
        ended = queue.SimpleQueue[tuple[bool, Future[Any]]]()
        with (
            self.context.workers(os.cpu_count() or 1) as resolvers,  # this machine's own, whoever builds
            self.context.workers(most) as builders,
            self.context.workers(most) as coordinators,
        ):
            for line in lines:
                resolving = resolvers.submit(self._resolved, line)
                resolving.add_done_callback(lambda done: ended.put((False, done)))
            unresolved, running, is_held_up = len(lines), 0, False
            waiting: list[tuple[int, int, _Resolved]] = []
            while unresolved or waiting or running:
                while waiting and (is_held_up or not unresolved) and running < self.context.at_once:
                    begun = coordinators.submit(self._run, heapq.heappop(waiting)[-1], builders)
                    begun.add_done_callback(lambda done: ended.put((True, done)))
                    running += 1
                try:
                    was_run, future = ended.get(timeout=_LOOK_SECONDS)
                except queue.Empty:
                    is_held_up = True
                    continue
                outcome: _Resolved | LineResult = future.result()
                if was_run:
                    running -= 1
                else:
                    unresolved, is_held_up = unresolved - 1, False
                if isinstance(outcome, LineResult):
                    yield outcome
                else:
                    heapq.heappush(waiting, (outcome.size, -unresolved, outcome))

    def _run(self, resolved: _Resolved, builders: Executor) -> LineResult:
        self.context.cancellation.raise_if_requested()
        line, began = resolved.line, time.monotonic() - resolved.seconds
        try:
            closure, context = line.asking.closure(self._context_of(line))
            rows = self._rows(line, closure, context, builders)
        except (HostError, Interrupted):
            raise
        except CrosswheelError as error:
            self.context.cancellation.raise_if_requested()
            return self._ended(self._refused(line, error, began))
        own = [canonicalize_name(locks.parsed(root).name) for root in closure.roots]
        if line.is_settled_by_text:  # the others are what tests want
            own = [canonicalize_name(locks.parsed(line.text).name)]
        pins = tuple((step.pin.name, step.pin.version) for step in closure.steps.values())
        facts = {
            "version": closure.versions.get(own[0], ""),
            "wheels": sum(row.size is not None for row in rows),
            "pins": pins,
            "recipes": self._recipes(pins),
        }
        return self._ended(self._result(line, began, **facts, **self._outcome(rows, own)))

    def _rows(
        self, line: BatchLine, closure: Closure, context: BuildContext, builders: Executor
    ) -> Sequence[Row]:
        root = closure.versions.get(canonicalize_name(locks.parsed(closure.roots[0]).name), "")
        self.context.display.start(line.text, "" if "==" in line.text else root, "waiting")
        return run_closure(closure, context, making=self._make, executor=builders)

    def _outcome(self, rows: Sequence[Row], own: Sequence[str]) -> Mapping[str, object]:
        """Return what came of a line's closure: of its roots, or of what failed that they need."""
        failed = sorted(
            (row for row in rows if row.outcome == "failed"), key=lambda row: row.package not in own
        )
        if not failed:
            origins = {row.origin for row in rows if row.package in own}
            outcome: LineOutcome = "built" if "built" in origins else "taken"
            return {"outcome": outcome}
        cause = failed[0]
        whose = "" if cause.package in own else f"{cause.package} {cause.version}: "
        return {
            "outcome": "failed",
            "kind": cause.kind,
            "message": self.context.public(whose + (cause.error or "")),
            "hint": self.context.public(cause.hint or ""),
            "exit_code": max(row.exit_code for row in rows),
        }

    def _result(self, line: BatchLine, began: float, **facts: object) -> LineResult:
        return LineResult.model_validate(
            {
                "line": line.text,
                "inputs": self._inputs(line),
                "recipes": self._recipes(()),
                "limits": self._limits,
                "seconds": round(time.monotonic() - began, 1),
                "finished": datetime.datetime.now(datetime.timezone.utc),
                **facts,
            }
        )

    def _ended(self, result: LineResult) -> LineResult:
        with self._writing:
            self.journal.add(result)
            self.context.display.done(result.line, result.outcome, result.message)
            self.on_ended()
        return result

    def _make(self, step: Step, store: RequirementsStore, context: BuildContext) -> WheelRecord:
        """Return the wheel of a step; what failed for one line is not tried again for the others."""
        inputs = digest_of(
            pin=str(step.pin),
            action=step.action,
            source=step.file.sha256 if step.file else None,
            recipe=step.recipe.fingerprint if step.recipe else None,
            day=store.day,
        )
        with context.lock_for(f"batch {inputs}"):
            if inputs in self._failures:
                raise self._failures[inputs]
            try:
                return make(step, store, context)
            except (HostError, Interrupted, NetworkError):
                raise
            except CrosswheelError as error:
                context.cancellation.raise_if_requested()
                self._failures[inputs] = error
                raise

    @property
    def _limits(self) -> str:
        return digest_of(seconds=self.context.limits.seconds, memory=self.context.limits.memory)

    def _inputs(self, line: BatchLine) -> str:
        """Return the digest of all that a line is made from, but for recipes and limits."""
        context, asking = self.context, line.asking
        return digest_of(
            line=str(asking.request),
            as_of=asking.as_of,
            groups=asking.groups,
            constraints=[sha256_of(path) for path in asking.constraints if path.is_file()],
            prefer=context.prefer,
            no_binary=sorted(context.no_binary),
            only_binary=sorted(context.only_binary),
            registries=context.registries,
            sdk=context.sdk,
            sandbox=context.sandbox,
            target=context.target.fingerprint,
            code=context.code_digest,
        )

    def _recipes(self, pins: Iterable[tuple[str, str]]) -> str:
        """Return the digest of what recipes say of releases."""
        known = {name: self.context.recipes.for_package(name, version) for name, version in pins}
        return digest_of(recipes={name: recipe.fingerprint for name, recipe in known.items() if recipe})


def _row(result: LineResult, is_earlier: bool) -> Row:
    failed = result.outcome == "failed"
    return Row(
        result.line,
        result.version or "",
        "failed" if failed else "found" if is_earlier else result.outcome,
        result.seconds,
        None,
        result.message or f"{result.wheels} wheels",
        result.message if failed else None,
        result.hint if failed else None,
        result.exit_code,
        kind=result.kind,
    )
