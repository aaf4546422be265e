"""Summarise a project for pages that list projects; a summary is made once and kept while its entries hold."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from packaging.tags import Tag
from packaging.version import Version
from pydantic import BaseModel, ConfigDict

from crosswheel.index.entry import Entry, left_out, newest, newest_on

NEWEST_SHOWN = 20


Recent = tuple[datetime.datetime, str, str]
"""A wheel's upload time, file name and version; a tuple, because models are slow and there is one for each wheel."""


class Overview(BaseModel):
    """The summary of a project on pages that list projects.

    Attributes:
        project: its name, as its metadata spells it.
        version: the version that :func:`crosswheel.index.entry.newest` chooses; the next four describe its wheels.
        summary: its one-line description.
        targets: the targets on which at least one of them was proven.
        pythons: the Pythons that they support.
        native: whether at least one of them is not for every platform.
        newest_on: maps a target to the version that the same function chooses among wheels proven there.
        all_pythons: the Pythons that wheels of any version support.
        kinds: ``native``, ``pure`` or both, over wheels of all versions.
        yanked: the reason to avoid the version, if it is yanked.
        wheels: the number of wheels, over all versions.
        bytes: their total size.
        yanked_wheels: the number of yanked wheels.
        proven: target and version, for each wheel and each target on which it was proven.
        unproven: the file names of wheels that were proven on no target.
        offered: the targets with a proof of one of its wheels.
        offers: maps a target to the number of wheels with a proof for it.
        ways: maps a target to the number of wheels proven in each way, in the words of :class:`Entry`.
        left_out: file names missing from the index of all targets, because targets have different bytes under them.
        recent: the most recent wheels, the newest first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    project: str
    version: str
    summary: str
    targets: tuple[str, ...]
    pythons: tuple[str, ...]
    native: bool
    newest_on: Mapping[str, str]
    all_pythons: tuple[str, ...]
    kinds: tuple[str, ...]
    yanked: str | None
    wheels: int
    bytes: int
    yanked_wheels: int
    proven: tuple[tuple[str, str], ...]
    unproven: tuple[str, ...]
    offered: tuple[str, ...]
    offers: Mapping[str, int]
    ways: Mapping[str, Mapping[str, int]]
    left_out: tuple[str, ...]
    recent: tuple[Recent, ...]


def overview_of(entries: Sequence[Entry]) -> Overview:
    """Summarise a project."""
    chosen = newest(entries)
    current = [entry for entry in entries if entry.order[0] == chosen.order[0]]
    tags = {tag for entry in current for tag in entry.tags}
    all_tags = {tag for entry in entries for tag in entry.tags}
    recent = sorted(entries, key=lambda entry: (entry.uploaded, entry.filename), reverse=True)
    return Overview(
        project=chosen.project,
        version=chosen.version,
        summary=chosen.summary,
        targets=tuple(sorted({target for entry in current for target in entry.targets})),
        pythons=tuple(pythons(tags)),
        native=any(tag.platform != "any" for tag in tags),
        newest_on={target: entry.version for target, entry in newest_on(entries).items()},
        all_pythons=tuple(pythons(all_tags)),
        kinds=tuple(sorted({"pure" if tag.platform == "any" else "native" for tag in all_tags})),
        yanked=chosen.yanked,
        wheels=len(entries),
        bytes=sum(entry.size for entry in entries),
        yanked_wheels=sum(entry.yanked is not None for entry in entries),
        proven=tuple((target, entry.version) for entry in entries for target in entry.targets),
        unproven=tuple(sorted(entry.filename for entry in entries if not entry.targets)),
        offered=tuple(sorted({target for entry in entries for target in entry.offered})),
        offers=dict(Counter(target for entry in entries for target in entry.offered)),
        ways=_ways(entries),
        left_out=tuple(sorted(left_out(entries))),
        recent=tuple((entry.uploaded, entry.filename, entry.version) for entry in recent[:NEWEST_SHOWN]),
    )


def _ways(entries: Sequence[Entry]) -> dict[str, dict[str, int]]:
    counted: dict[str, dict[str, int]] = {}
    for entry in entries:
        for target, ways in entry.ways.items():
            of_target = counted.setdefault(target, {})
            for way in ways:
                of_target[way] = of_target.get(way, 0) + 1
    return counted


def pythons(tags: Iterable[Tag]) -> list[str]:
    """Return the Pythons that wheels with these tags support, such as ``3.10``, ``3.8+`` or ``3``."""
    return sorted({_python(tag) for tag in tags}, key=python_order)


def python_order(python: str) -> tuple[Version, str]:
    """Return a sort key that puts Pythons, as :func:`pythons` writes them, in ascending order."""
    return Version(python.rstrip("+") or "0"), python


def _python(tag: Tag) -> str:
    digits = tag.interpreter.lstrip("abcdefghijklmnopqrstuvwxyz")
    version = f"{digits[0]}.{digits[1:]}" if len(digits) > 1 else digits
    return f"{version}+" if tag.abi == "abi3" else version
