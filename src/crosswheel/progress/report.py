"""What is printed once: tables, errors, and the summary at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from crosswheel.errors import CrosswheelError
from crosswheel.progress.state import STYLES, Outcome
from crosswheel.progress.wording import duration, is_screen, plural, printable, size


@dataclass(frozen=True)
class Row:
    """What came of one package.

    Attributes:
        seconds: how long the work on it took.
        size: bytes of its wheel; ``None`` where there is no wheel.
        reason: why it was taken, built or blocked.
        error: what went wrong, for a package that failed.
        hint: what to do about it.
        exit_code: what a command that shows this row ends with.
        imported: how many of its modules were imported on the target.
        skipped: the modules that were not, each with the reason.
        not_run: why nothing of its wheel was run there, if that is so.
        origin: whether its wheel was taken or built, now or earlier.
        kind: what its failure has in common with others.
    """

    package: str
    version: str
    outcome: Outcome
    seconds: float
    size: int | None
    reason: str
    error: str | None = None
    hint: str | None = None
    exit_code: int = 0
    imported: int = 0
    skipped: Mapping[str, str] = field(default_factory=dict)
    not_run: str | None = None
    origin: Literal["taken", "built"] | None = None
    kind: str = ""


def print_text(console: Console, text: Text) -> None:
    """Print text, wrapped between words on a screen and not at all elsewhere."""
    console.print(text, soft_wrap=not is_screen(console))


def show_error(console: Console, error: CrosswheelError) -> None:
    """Print what happened and what to do next."""
    _explain(console, "error", error.message, error.hint)


def table(
    console: Console,
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Collection[str] = (),
) -> None:
    """Print a table.

    On a screen, what is too long for its column is folded. Elsewhere there is one line per row, aligned and
    as wide as it takes, so that other programs can read it.

    Args:
        right: the columns that are aligned on the right, by name.
    """
    cells = [[printable(console, cell) for cell in row] for row in rows]
    if is_screen(console):
        console.print(_screen_table(title, columns, cells, right))
    else:
        print_text(console, Text("\n".join([title, *_aligned(columns, cells, right)])))


def summary(console: Console, results: Sequence[Row]) -> None:
    """Print what was built, not run, blocked and failed, each with its reason, and the totals as the last line."""
    console.print()
    built = [row for row in results if row.outcome == "built"]
    if built:
        cells = [
            (r.package, r.version, duration(r.seconds), "" if r.size is None else size(r.size), r.reason)
            for r in built
        ]
        columns = ("package", "version", "time", "size", "reason")
        table(console, "built", columns, cells, right=("time", "size"))
        console.print()
    unrun = [line for row in results for line in _unrun(row)]
    if unrun:
        table(console, "not run", ("package", "version", "what", "reason"), unrun)
        console.print()
    blocked = [(row.package, row.version, row.reason) for row in results if row.outcome == "blocked"]
    if blocked:
        table(console, "blocked", ("package", "version", "reason"), blocked)
        console.print()
    failures(console, results)
    print_text(console, Text(_run(results)))
    print_text(console, Text(_totals(results), style="bold"))


def failures(console: Console, results: Sequence[Row]) -> None:
    """Print what failed, each with its reason and what to do next."""
    for row in results:
        if row.outcome == "failed":
            label = f"failed: {row.package} {row.version}".rstrip()
            _explain(console, label, row.error or row.reason, row.hint)
            console.print()


def counted(counts: Counter[Outcome]) -> list[tuple[Outcome, int]]:
    """Return what is worth telling: the three usual outcomes, and the others if there are any."""
    outcomes: tuple[Outcome, ...] = ("taken", "built", "found", "failed", "blocked")
    return [(o, counts[o]) for o in outcomes if counts[o] or o in ("taken", "built", "failed")]


def _unrun(row: Row) -> Iterator[tuple[str, str, str, str]]:
    if row.not_run is not None:
        yield row.package, row.version, "all of it", row.not_run
    else:
        yield from ((row.package, row.version, module, reason) for module, reason in row.skipped.items())


def _totals(results: Sequence[Row]) -> str:
    wheels = [row for row in results if row.outcome not in ("failed", "blocked")]
    sizes = [row.size for row in wheels if row.size is not None]
    outcomes = counted(Counter(row.outcome for row in results))
    head = plural(len(wheels), "wheel") + (f", {size(sum(sizes))}" if sizes else "")
    return head + ": " + ", ".join(f"{count} {outcome}" for outcome, count in outcomes)


def _run(results: Sequence[Row]) -> str:
    """Return how many wheels were run on the target, and how many were not."""
    wheels = [row for row in results if row.outcome not in ("failed", "blocked")]
    run = [row for row in wheels if row.not_run is None]
    imported, skipped = sum(row.imported for row in run), sum(len(row.skipped) for row in run)
    modules = f"{plural(imported, 'module')} imported" + (f", {skipped} not" if skipped else "")
    return f"{plural(len(run), 'wheel')} run on the target, {modules}; {len(wheels) - len(run)} not run"


def _explain(console: Console, label: str, message: str, hint: str | None) -> None:
    text = Text.assemble((f"{label}:", STYLES["failed"]), " ", printable(console, message))
    print_text(console, text)
    if not hint:
        return
    advice = Text.assemble(("what to do:", "bold"), " ", printable(console, hint))
    if is_screen(console):
        console.print(Padding.indent(advice, 2))
    else:
        print_text(console, Text("  ") + advice)


def _screen_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[str]
) -> Table:
    drawn = Table(
        title=Text(title, style="bold"),
        title_justify="left",
        header_style="dim",
        box=None,
        padding=(0, 2, 0, 0),
        pad_edge=False,
    )
    for column in columns:
        drawn.add_column(Text(column), justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    return drawn


def _aligned(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[str]) -> list[str]:
    lines = [list(columns), *([" ".join(cell.split()) for cell in row] for row in rows)]
    widths = [max(cell_len(cell) for cell in column) for column in zip(*lines)]

    def padded(cell: str, column: str, width: int) -> str:
        space = " " * (width - cell_len(cell))
        return space + cell if column in right else cell + space

    return ["  ".join(map(padded, line, columns, widths)).rstrip() for line in lines]
