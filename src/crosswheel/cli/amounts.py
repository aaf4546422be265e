"""Amounts on the command line."""

from __future__ import annotations

from collections.abc import Mapping

from crosswheel.errors import UsageError
from crosswheel.quantities import amount


def amount_of(text: str, units: Mapping[str, int], option: str, example: str) -> int:
    """Return the amount that an option names, in the smallest of its units.

    Raises:
        UsageError: it is none.
    """
    try:
        return amount(text, units)
    except ValueError as error:
        raise UsageError(f"{option} {error}", hint=f"write it as {example}.") from error
