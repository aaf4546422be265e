"""Parses amounts on the command line."""

from __future__ import annotations

from collections.abc import Mapping

from crosswheel.errors import UsageError
from crosswheel.quantities import amount


def amount_of(text: str, units: Mapping[str, int], option: str, example: str) -> int:
    """Parse the amount that an option states; return it in the smallest of the units.

    Raises:
        UsageError: the text is not such an amount.
    """
    try:
        return amount(text, units)
    except ValueError as error:
        raise UsageError(f"{option} {error}", hint=f"write it as {example}.") from error
