"""Says how much memory the work on a package is reckoned to take, so that no worker gets more than it has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from crosswheel.cached import cache_path
from crosswheel.files import write_text
from crosswheel.job.context import PackageLimits
from crosswheel.plan import Step

RESOURCE = "memory"
"""The name of the resource that workers offer, in bytes."""
_BUILD, _OTHER = 1_500_000_000, 400_000_000
# The largest program of a build is known, and a second one may run beside it.
_BESIDE = 2
_PEAK = re.compile(r"^# (\d+) bytes at most$", re.MULTILINE)


def needed_memory(verb: Literal["make", "prove"], step: Step, limits: PackageLimits, cache: Path) -> int:
    """Return the bytes that a step takes: what it may take, what it took, or what most builds do."""
    allowed = (step.recipe.memory_limit if step.recipe else None) or limits.memory
    if verb == "prove" or step.action == "take":
        return min(allowed or _OTHER, _OTHER)
    return allowed or _measured(step.pin.name, cache) or _BUILD


def note_memory(name: str, peak_bytes: int, cache: Path) -> None:
    """Keep what the largest program of a package's build took, for its later builds."""
    if peak_bytes:
        write_text(_note(name, cache), str(peak_bytes))


def logged_peak(log: Path) -> int:
    """Return the memory of the largest program that a build's log tells of, in bytes; 0 if no program ran."""
    text = log.read_text(errors="replace") if log.is_file() else ""
    return max(map(int, _PEAK.findall(text)), default=0)


def within(memory: int, offered: Mapping[str, float]) -> float:
    """Return the memory to ask for: no more than the largest worker has, which then does nothing else meanwhile.

    Args:
        offered: the memory of each worker, by its address.
    """
    return min(float(memory), max(offered.values(), default=float(memory)))


def _measured(name: str, cache: Path) -> int | None:
    try:
        return max(_BESIDE * int(_note(name, cache).read_text()), _OTHER)
    except (OSError, ValueError):
        return None


def _note(name: str, cache: Path) -> Path:
    return cache_path(cache, "cluster") / "memory" / name
