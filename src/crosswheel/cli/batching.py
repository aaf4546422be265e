"""Builds each requirement of a batch on its own (``build --each``), and defines the limits of packages."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import typer

from crosswheel.cli.amounts import amount_of
from crosswheel.errors import UsageError
from crosswheel.job.asking import Asking
from crosswheel.job.batch import BatchResult, BatchRun
from crosswheel.job.batch_lines import batch_lines
from crosswheel.job.context import BuildContext, PackageLimits
from crosswheel.job.recipe_projects import offering_recipes
from crosswheel.progress import Display, table
from crosswheel.progress.report import failures
from crosswheel.progress.wording import plural
from crosswheel.quantities import BYTES, SECONDS

_INDEX_SECONDS, _INDEX_SHARE = 60.0, 20
_NAMES_SHOWN = 5


@dataclass(frozen=True)
class Batching:
    """The options for batches, and for the limits of each package."""

    each: Annotated[
        bool,
        typer.Option(
            "--each",
            help="Each requirement on its own: what fails stops no other, a stopped run goes on, and the index shows "
            "how far it is.",
        ),
    ] = False
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed", help="With --each: also try again what failed before and has not changed."
        ),
    ] = False
    time_limit: Annotated[
        str | None,
        typer.Option(
            "--time-limit", help="The time limit for the build of each package, and for its trial: 30m, 2h."
        ),
    ] = None
    memory_limit: Annotated[
        str | None,
        typer.Option(
            "--memory-limit", help="The memory limit for each program of a build or a trial: 800M, 4G."
        ),
    ] = None

    def limits_of(self, asking: Asking) -> PackageLimits:
        """Return the limits of each package; raise :class:`UsageError` if an option has no effect."""
        if self.retry_failed and not self.each:
            raise UsageError("--retry-failed needs --each", hint="give both, or neither.")
        if self.each and not asking.request:
            raise UsageError(
                "--each has nothing to build",
                hint="name requirements, or a file of them with -r, one on each line.",
            )
        seconds, memory = self.time_limit, self.memory_limit
        return PackageLimits(
            amount_of(seconds, SECONDS, "--time-limit", "30m") if seconds else None,
            amount_of(memory, BYTES, "--memory-limit", "4G") if memory else None,
        )

    def run(self, asking: Asking, context: BuildContext, index: Callable[[], object]) -> int:
        """Build each requested line; return the exit code.

        Args:
            index: makes the index; called from time to time, so that the index shows the progress.
        """
        lines, context = batch_lines(asking, offering_recipes(context))
        result = BatchRun(context, self.retry_failed, NowAndThen(index).call).run(lines)
        _tell(result, context.display)
        return result.exit_code


@dataclass
class NowAndThen:
    """Calls slow work so rarely that it hardly delays its caller: at most once a minute."""

    work: Callable[[], object]
    _next: float = field(default_factory=lambda: time.monotonic() + _INDEX_SECONDS)

    def call(self) -> None:
        """Do the work, if it is due."""
        began = time.monotonic()
        if began >= self._next:
            self.work()
            now = time.monotonic()
            self._next = now + max(_INDEX_SECONDS, _INDEX_SHARE * (now - began))


def _tell(result: BatchResult, display: Display) -> None:
    """Print the result of each line, the failed lines by reason, and the totals as the last line."""
    rows = result.rows
    display.close()
    display.console.print()
    failures(display.console, rows)
    if result.kinds:
        kinds = sorted(result.kinds.items(), key=lambda item: (-len(item[1]), item[0]))
        counted = [[str(len(names)), kind, _shortened(names)] for kind, names in kinds]
        table(display.console, "reasons", ("lines", "reason", "of"), counted, right=("lines",))
    counts = Counter(row.outcome for row in rows)
    parts = [f"{counts[name]} {name}" for name in ("taken", "built", "found", "failed")]
    display.message(f"{plural(len(rows), 'line')}: {', '.join(parts)}")
    if result.failed_earlier:
        display.message(
            f"{result.failed_earlier} of them failed in an earlier run and have not changed since: --retry-failed "
            "tries them again."
        )


def _shortened(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more
