"""Orders a release's wheels as pip prefers them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

if TYPE_CHECKING:
    from crosswheel.targets import Target


def by_preference(filenames: Iterable[str], target: Target) -> list[str]:
    """Return the wheels of a release that the target's pip accepts, the one that it would choose first.

    Of wheels with equal tags, pip chooses the one with the highest build tag (PEP 427).
    """
    rank = {tag: number for number, tag in enumerate(target.tags)}
    ordered = []
    for filename in sorted(filenames):
        with contextlib.suppress(InvalidWheelFilename):
            _, _, build, tags = parse_wheel_filename(filename)
            ranks = [rank[tag] for tag in tags if tag in rank]
            if ranks:
                ordered.append((-min(ranks), build, filename))
    return [filename for *_, filename in sorted(ordered, key=lambda wheel: wheel[:2], reverse=True)]
