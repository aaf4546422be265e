"""Where a batch stands: many requirements, each with a closure of its own, whose results are appended to one file."""

from __future__ import annotations

import contextlib
import datetime
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from crosswheel.files import explained_storage_errors, make_folder
from crosswheel.wheels.layout import BATCH_SUFFIX

LineOutcome = Literal["taken", "built", "failed"]
OUTCOMES: tuple[LineOutcome, ...] = ("built", "taken", "failed")
_MOST_MOMENTS = 120


class LineResult(BaseModel):
    """What came of one line of a batch.

    Attributes:
        line: the requirement, as it was asked for.
        version: of the release that was chosen; ``None`` if none was.
        outcome: whether the wheel of the release itself was taken or built, or why there is none: ``failed``.
        kind: what a failure has in common with others.
        message: what happened; of another package, if that failed, which this one needs.
        hint: what to do next.
        wheels: how many wheels it and all that it needs are.
        inputs: the digest of all that it was made from, but for recipes and limits.
        pins: name and version of all releases of its closure, whose recipes count.
        recipes: the digest of those.
        limits: those that held for its packages.
        finished: when it ended, UTC.
    """

    # another version of crosswheel may have written it
    model_config = ConfigDict(frozen=True, extra="ignore")

    line: str
    version: str | None = None
    outcome: LineOutcome
    kind: str = ""
    message: str = ""
    hint: str = ""
    exit_code: int = 0
    wheels: int = 0
    seconds: float = 0.0
    inputs: str
    pins: tuple[tuple[str, str], ...] = ()
    recipes: str = ""
    limits: str = ""
    finished: datetime.datetime


class _Asked(BaseModel):
    """The lines that a run asked for; the newest of a file counts."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    asked: tuple[str, ...]


@dataclass(frozen=True)
class Journal:
    """A batch's file: what was asked for, and the result of each line, appended when it ends.

    A run that is killed loses nothing but the line that it was at.
    """

    path: Path

    @classmethod
    def of(cls, dist: Path, target: str) -> Journal:
        """Return the journal of a target in a tree of wheels."""
        return cls(dist / f"{target}{BATCH_SUFFIX}")

    def begin(self, asked: Sequence[str]) -> None:
        """Note what a run asks for."""
        make_folder(self.path.parent)
        self._append(_Asked(asked=tuple(asked)))

    def add(self, result: LineResult) -> None:
        """Append the result of a line; one call at a time."""
        self._append(result)

    def read(self) -> tuple[tuple[str, ...], dict[str, LineResult]]:
        """Return what was asked for last, and the newest result of each line; what is no record is passed over."""
        asked: tuple[str, ...] = ()
        results: dict[str, LineResult] = {}
        for text in self._lines():
            with contextlib.suppress(ValidationError):
                if text.startswith(b'{"asked"'):
                    asked = _Asked.model_validate_json(text).asked
                else:
                    result = LineResult.model_validate_json(text)
                    results[result.line] = result
        return asked, results

    def _lines(self) -> list[bytes]:
        try:
            return self.path.read_bytes().splitlines()
        except FileNotFoundError:
            return []

    def _append(self, record: BaseModel) -> None:
        with explained_storage_errors(self.path), self.path.open("ab+", buffering=0) as stream:
            end = stream.seek(0, 2)
            stream.seek(max(0, end - 1))
            torn = end and stream.read(1) != b"\n"  # a killed run was in the middle of a line
            stream.write((b"\n" if torn else b"") + record.model_dump_json().encode() + b"\n")


class LineFailure(BaseModel):
    """A line that failed, with the reason."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    line: str
    kind: str
    message: str


class Moment(BaseModel):
    """How many lines had ended by then, by outcome."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    when: datetime.datetime
    counts: Mapping[LineOutcome, int]


class Batch(BaseModel):
    """Where a batch stands, as the status page shows it.

    Attributes:
        asked: how many lines there are.
        moments: how it came so far, the oldest first; the last is as it stands.
        failures: the lines that failed, in the order of lines.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    target: str
    asked: int
    moments: tuple[Moment, ...] = ()
    failures: tuple[LineFailure, ...] = ()

    @property
    def counts(self) -> Mapping[LineOutcome, int]:
        """How many lines ended with each outcome."""
        return self.moments[-1].counts if self.moments else dict.fromkeys(OUTCOMES, 0)

    @property
    def left(self) -> int:
        """How many lines have not ended."""
        return self.asked - sum(self.counts.values())

    @property
    def kinds(self) -> list[tuple[str, list[LineFailure]]]:
        """The failed lines by what they have in common, the most frequent first."""
        kinds = Counter(failure.kind for failure in self.failures)
        return [
            (kind, [failure for failure in self.failures if failure.kind == kind])
            for kind, _ in sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
        ]


def read_batches(paths: Iterable[Path]) -> tuple[Batch, ...]:
    """Return where batches stand, by their files, in the order of targets."""
    batches = []
    for path in sorted(paths):
        asked, results = Journal(path).read()
        if asked:
            target = path.name.removesuffix(BATCH_SUFFIX)
            batches.append(_batch(target, asked, [results[line] for line in asked if line in results]))
    return tuple(batches)


def _batch(target: str, asked: Sequence[str], results: Sequence[LineResult]) -> Batch:
    failures = [
        LineFailure(line=result.line, kind=result.kind, message=result.message)
        for result in results
        if result.outcome == "failed"
    ]
    return Batch(target=target, asked=len(asked), moments=_moments(results), failures=tuple(failures))


def _moments(results: Sequence[LineResult]) -> tuple[Moment, ...]:
    """Return the counts after each line, or of as many moments as a chart can show."""
    in_order = sorted(results, key=lambda result: result.finished)
    step = -(-len(in_order) // _MOST_MOMENTS) or 1
    counts, moments = Counter[LineOutcome](), []
    for number, result in enumerate(in_order, 1):
        counts[result.outcome] += 1
        if number % step == 0 or number == len(in_order):
            moments.append(Moment(when=result.finished, counts={name: counts[name] for name in OUTCOMES}))
    return tuple(moments)
