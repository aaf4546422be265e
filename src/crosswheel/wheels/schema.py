"""The number in published data that tells its readers whether they understand it."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

NEWEST_SCHEMA = 1
"""The newest schema that is understood here; data without a number is of the first."""


def _understood(number: int) -> int:
    if number > NEWEST_SCHEMA:
        raise ValueError("a newer version of crosswheel wrote it, which has to be used")
    return number


SchemaVersion = Annotated[int, AfterValidator(_understood)]
"""The schema of what is published. Readers pass over keys that they do not know; the number is raised when that, or
what they make of the keys that they know, would be wrong."""
