"""A reason why a wheel would not work on a target."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One reason why a wheel would not work on the target.

    Attributes:
        file: the file inside the wheel, or the wheel itself.
        message: what is wrong, naming the symbol, library or module.
        remedy: what to do about it.
    """

    file: str
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}: {self.message} ({self.remedy})"
