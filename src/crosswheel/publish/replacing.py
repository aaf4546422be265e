"""Channels in which a wheel may be replaced: other bytes of its file name lie apart, and the newest record counts.

What was published stays where it is, to the byte, also here: who is in the middle of a download gets all of it, and
caches between are never wrong. Only pages name the newer wheel from then on.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator

from crosswheel.errors import UsageError
from crosswheel.index import people

_IMMUTABLE = ("staging", "production")


def folder_of(sha256: str) -> str:
    """Return the folder, in its project's, of a wheel whose name is taken there by other bytes."""
    return sha256[:16]


def is_replaceable(declared: bool | None, channel: str | None, before: bool) -> bool:
    """Return whether wheels of a channel may be replaced: as is declared, or else as it was ``before``.

    Raises:
        UsageError: it is declared of a channel whose readers count on what was published.
    """
    if declared and channel in _IMMUTABLE:
        raise UsageError(
            f"the channel {channel} is never replaceable: robots count on what was published there",
            hint="publish to a branch's channel, or give the new build a number (PEP 427).",
        )
    return before if declared is None else declared


def in_force(files: Iterable[tuple[int, people.ListedWheel]]) -> Iterator[people.ListedWheel]:
    """Yield the wheels that pages name: of each file name and target, the one that was published last.

    A wheel that others replaced on some of its targets is named for the rest.

    Args:
        files: the wheels of a channel, each behind the number of replacements that its record tells.
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
        if not offered:  # nothing tells for whom it is, so it is for all
            closed.add(key)
        yield _only(file, left)


def _age(numbered: tuple[int, people.ListedWheel]) -> tuple[int, datetime.datetime, str]:
    replaces, file = numbered
    return replaces, file.entry.uploaded, file.entry.sha256


def _only(file: people.ListedWheel, targets: set[str]) -> people.ListedWheel:
    """Return a wheel as it is shown for some of its targets."""
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
