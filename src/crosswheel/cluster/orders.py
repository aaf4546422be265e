"""Defines what goes out to workers, and what they answer: frozen values, never wheels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from crosswheel.build.requirements import RequirementsStore
from crosswheel.errors import CrosswheelError
from crosswheel.plan import Step
from crosswheel.wheels.proof import Proof


@dataclass(frozen=True)
class Make:
    """To make the wheel of a step; the answer is the digest under which it was handed over."""

    step: Step
    store: RequirementsStore


@dataclass(frozen=True)
class Order:
    """One piece of work.

    Attributes:
        verb: what is done, for people.
        run: the SHA-256 of the run's archive, in the shared cache.
        session: the command that asks; its work has nothing in common with that of other commands.
        body: a packed :class:`Make`, or candidate to be proven.
        shared_caches: where the archive is.
    """

    verb: Literal["make", "prove"]
    package: str
    version: str
    run: str
    session: str
    body: bytes
    shared_caches: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """What came of an order.

    Attributes:
        worker: who did it, by name.
        result: a digest or a proof; ``None`` if it failed.
        address: the worker's address.
        peak_bytes: the memory of the largest program that it took, if any ran.
        log: the end of what the programs of a failed step printed.
    """

    worker: str
    result: str | Proof | None
    error: CrosswheelError | None = None
    log: bytes = b""
    peak_bytes: int = 0
    address: str = ""
