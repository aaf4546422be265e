"""Read amounts as people write them: ``800M`` bytes, ``90m`` of time."""

from __future__ import annotations

import re
from collections.abc import Mapping

BYTES: Mapping[str, int] = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
SECONDS: Mapping[str, int] = {"s": 1, "m": 60, "h": 3600}
DAYS: Mapping[str, int] = {"d": 1, "w": 7}
_AMOUNT = re.compile(r"(\d{1,9})\s*([A-Za-z]?)B?")


def amount(text: str, units: Mapping[str, int]) -> int:
    """Return an amount in the smallest of its units; a unit may be in lower or upper case.

    Raises:
        ValueError: the text is no number with one of the units.
    """
    match = _AMOUNT.fullmatch(text.strip())
    unit = match and next((name for name in units if name.lower() == match[2].lower()), None)
    if match is None or unit is None:
        raise ValueError(f"{text}: that is no amount")
    return int(match[1]) * units[unit]
