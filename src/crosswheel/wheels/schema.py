"""Defines the schema number in published data, which tells readers whether they understand it."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

NEWEST_SCHEMA = 1
"""The newest schema that this version understands; data without a number have schema 1."""


def _understood(number: int) -> int:
    if number > NEWEST_SCHEMA:
        raise ValueError("a newer version of crosswheel wrote it, which has to be used")
    return number


SchemaVersion = Annotated[int, AfterValidator(_understood)]
"""The schema number of published data. Readers ignore keys that they do not know; the number is raised when they must
not, or when a known key gets another meaning."""
