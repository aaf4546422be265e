"""Putting a release on a robot over one connection: only what it lacks is sent, and it switches in one step."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Optional

from crosswheel.deploy.release import Release
from crosswheel.deploy.ssh import Connection
from crosswheel.targets import Robot

Tell = Callable[[str], None]
"""Is told what goes on, a sentence each time."""
Sent = Callable[[int, int], None]
"""Is told how many bytes of all have been sent, before compression."""


@dataclass(frozen=True)
class Deployed:
    """What came of a deployment.

    Attributes:
        sent: bytes that went over the connection.
        files: how many files had to be sent.
        seconds: from the first request to the switch.
        generation: its number on the robot.
    """

    version: str
    sent: int
    files: int
    seconds: float
    generation: int


def deploy(
    release: Release, robot: Robot, connection: Connection, tell: Tell, sent: Optional[Sent] = None
) -> Deployed:
    """Put a release on a robot and make it the active one.

    Whatever happens meanwhile, the robot has the version before, or this one.

    Raises:
        TargetError: the robot is not what the release was made for.
        StorageError: it has too little space; nothing was sent.
        CheckFailed: the release does not pass its test there; the version before stays active.
        UsageError: another deployment is under way, or a launcher's place is taken.
        NetworkError: the connection ended.
    """
    begun = time.monotonic()
    connection.ask("open", store=robot.store, programs=robot.programs)
    connection.ask("hold")
    unknown = connection.ask("offer", release=release.offer)["packages"]
    files = 0
    if unknown:
        plan = connection.ask("plan", files=release.lists(unknown))
        parts = release.parts(plan["lacking"])
        size, files = sum(part.size for part in parts), sum(len(part.files) for part in parts)
        tell(f"sending {files} of {release.file_count} files, {size / 1e6:.1f} MB unpacked")
        connection.send_files(parts, lambda done: sent(done, size) if sent else None)
    tell("putting it together")
    connection.ask("build")
    tell("trying it on the robot")
    connection.ask("test")
    generation = connection.ask("activate")["generation"]
    seconds = time.monotonic() - begun
    return Deployed(release.version, connection.sent, files, seconds, generation)


def rehearse(release: Release, robot: Robot, connection: Connection) -> tuple[dict[str, str], int]:
    """Ask a robot what a deployment would find, and change nothing.

    Returns:
        The packages of its image, name to version; and the bytes of the files that would be sent.

    Raises: as :func:`deploy`.
    """
    connection.ask("open", store=robot.store, programs=robot.programs)
    unknown = connection.ask("offer", release=release.offer)["packages"]
    plan = connection.ask("plan", files=release.lists(unknown))
    size = sum(part.size for part in release.parts(plan["lacking"]))
    return dict(connection.ask("image")["packages"]), size
