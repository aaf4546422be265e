"""Does the same work on several robots at once; one that fails does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from crosswheel.deploy.ssh import Address
from crosswheel.errors import CrosswheelError, UsageError

_AT_ONCE = 8  # they share the network; more at once would slow down each

T = TypeVar("T")


@dataclass(frozen=True)
class RobotResult(Generic[T]):
    """The result of the work on one robot: a value, or the error that ended it."""

    robot: str
    result: T | CrosswheelError

    @property
    def error(self) -> CrosswheelError | None:
        """The error, if there was one."""
        return self.result if isinstance(self.result, CrosswheelError) else None

    @property
    def value(self) -> T:
        """The value; raises the error if there was one."""
        if isinstance(self.result, CrosswheelError):
            raise self.result
        return self.result


def on_each(robots: Sequence[Address], work: Callable[[Address], T]) -> list[RobotResult[T]]:
    """Do the work on every robot, several at a time; return the results in the order of the robots."""

    def outcome(address: Address) -> RobotResult[T]:
        try:
            return RobotResult(address.host, work(address))
        except CrosswheelError as error:
            return RobotResult(address.host, error)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(outcome, robots))


def read_list(path: Path) -> list[str]:
    """Return the robots in a file: one on each line, as ssh names it; ``#`` begins a comment.

    Raises:
        UsageError: the file cannot be read, or names none.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    except UnicodeDecodeError as error:
        raise UsageError(
            f"the list of robots {path} is not text in UTF-8: {error}", hint="save it as UTF-8."
        ) from error
    except OSError as error:
        raise UsageError(
            f"the list of robots {path} cannot be read: {error.strerror}", hint="check --robots."
        ) from error
    robots = list(dict.fromkeys(filter(None, lines)))
    bad = [robot for robot in robots if robot.startswith("-") or len(robot.split()) > 1]
    if bad or not robots:
        raise UsageError(
            f"{path} names no robots" if not robots else f"{path}: {bad[0]!r} is not the name of a robot",
            hint="write one on each line, as for ssh: a name, an address, or user@name.",
        )
    return robots
