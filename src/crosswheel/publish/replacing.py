"""Replace wheels in channels that allow it: new bytes of a file name get a separate folder; the newest record counts.

Published files still never change. So a running download completes, and caches stay right. Only pages switch to the
newer wheel.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator

from crosswheel.errors import UsageError
from crosswheel.index import people

_IMMUTABLE = ("staging", "production")


def folder_of(sha256: str) -> str:
    """Return the subfolder of a project's folder for a wheel whose file name is taken by other bytes."""
    return sha256[:16]


def is_replaceable(declared: bool | None, channel: str | None, before: bool) -> bool:
    """Return whether wheels of a channel may be replaced: as declared, or else as ``before``.

    Raises:
        UsageError: replacing is declared for a channel whose readers rely on fixed files.
    """
    if declared and channel in _IMMUTABLE:
        raise UsageError(
            f"the channel {channel} is never replaceable: robots count on what was published there",
            hint="publish to a branch's channel, or give the new build a number (PEP 427).",
        )
    return before if declared is None else declared


def in_force(files: Iterable[tuple[int, people.ListedWheel]]) -> Iterator[people.ListedWheel]:
    """Yield the wheels that pages name: for each file name and target, the one published last.

    A wheel that was replaced on some of its targets is yielded for the others.

    Args:
        files: the wheels of a channel, each after the number of replacements in its record.
    """
    claimed: dict[tuple[str, str], set[str]] = {}
    closed: set[tuple[str, str]] = set()
    for _, file in sorted(files, key=_age, reverse=True):
        key = (file.entry.name, file.entry.filename)
        taken, offered = claimed.setdefault(key, set()), set(file.entry.offered)
        left = offered - taken
        if key in closed or (taken and not left):
            continue
        taken |= offered
        if not offered:  # without a proof it counts for all targets
            closed.add(key)
        yield _only(file, left)


def _age(numbered: tuple[int, people.ListedWheel]) -> tuple[int, datetime.datetime, str]:
    replaces, file = numbered
    return replaces, file.entry.uploaded, file.entry.sha256


def _only(file: people.ListedWheel, targets: set[str]) -> people.ListedWheel:
    """Return a wheel as pages show it for some of its targets."""
    if targets == set(file.entry.offered):
        return file
    entry = file.entry.model_copy(
        update={
            "targets": tuple(name for name in file.entry.targets if name in targets),
            "offered": tuple(sorted(targets)),
        }
    )
    proofs = {name: proof for name, proof in file.proofs.items() if proof.target in targets}
    return people.ListedWheel(entry, proofs, file.has_log)
