"""Putting a release on a robot over one connection: only what it lacks is sent, and it switches in one step."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from crosswheel.deploy.bundles import installer
from crosswheel.deploy.preflight import Clash, clashes
from crosswheel.deploy.release import Release
from crosswheel.deploy.service import restart
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
        clashes: packages that the robot's image has, too, which stay as they are, and which it does not see.
        services: what was restarted, as it ran another version.
        warnings: what does not work as it may be expected to.
        pinned: the key whose releases alone are installed there from now on, if that is new.
    """

    version: str
    sent: int
    files: int
    seconds: float
    generation: int
    clashes: tuple[Clash, ...]
    services: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    pinned: str | None = None


def deploy(
    release: Release,
    robot: Robot,
    connection: Connection,
    tell: Tell,
    sent: Sent | None = None,
    *,
    keep: int = 1,
    offer: Mapping[str, object] | None = None,
) -> Deployed:
    """Put a release on a robot and make it the active one.

    Whatever happens meanwhile, the robot has the version before, or this one.

    Args:
        keep: how many versions before it stay on the robot.
        offer: the release as it is told to the robot, signed (:func:`crosswheel.deploy.signing.signed_offer`); not
            signed, if not given.

    Raises:
        TargetError: the robot is not what the release was made for.
        StorageError: it has too little space; nothing was sent.
        CheckFailed: the release does not pass its test there; the version before stays active.
        UsageError: another deployment is under way, or a launcher's place is taken.
        IntegrityError: the robot has a key pinned that has not signed it, or its signature is too old.
        NetworkError: the connection ended.
    """
    began = time.monotonic()
    machine = connection.ask("open", store=robot.store, programs=robot.programs)
    tell(
        f"reached: {machine['machine']}, Python {machine['python']}, glibc {machine['glibc'] or 'none'}, "
        f"{machine['free'] / 1e6:.0f} MB free"
    )
    connection.ask("hold")
    offered = connection.ask("offer", **(offer or {"release": release.offer}))
    files = 0
    if offered["packages"]:
        plan = connection.ask("plan", files=release.lists(offered["packages"]))
        parts = release.parts(plan["lacking"])
        size, files = sum(part.size for part in parts), sum(len(part.files) for part in parts)
        tell(f"sending {files} of {release.file_count} files, {size / 1e6:.1f} MB unpacked")
        connection.send_files(parts, lambda sent_size: sent(sent_size, size) if sent else None)
    tell("putting it together")
    connection.ask("build")
    tell("trying it on the robot")
    connection.ask("test")
    active = connection.ask("activate", keep=keep)
    faults = restart(active["services"], connection)
    _keep_installer(robot, offer, active["installer"], connection)
    return Deployed(
        release.version,
        connection.sent,
        files,
        seconds=time.monotonic() - began,
        generation=active["generation"],
        clashes=tuple(clashes(release.versions, offered["image"])),
        services=tuple(active["services"]),
        warnings=(*_shadowing(offered["shadowing"], robot), *faults),
        pinned=active["pinned"],
    )


def _keep_installer(
    robot: Robot, offer: Mapping[str, object] | None, known: str | None, connection: Connection
) -> None:
    """Have a robot that verifies what is signed keep the program that installs bundles there, if it has another."""
    program = installer(robot) if offer and "envelope" in offer else None
    if program is not None and hashlib.sha256(program).hexdigest() != known:
        connection.ask("keep_installer", data=base64.b64encode(program).decode())


def _shadowing(paths: Iterable[str], robot: Robot) -> Iterator[str]:
    """Yield a warning for each program of the image that whoever calls one of the release gets instead."""
    for path in paths:
        yield (
            f"{path} comes first on a login's PATH: write {robot.programs}/{path.rpartition('/')[2]} to run this one, "
            "or deploy it under another --name"
        )


def rehearse(release: Release, robot: Robot, connection: Connection) -> tuple[dict[str, str], int]:
    """Ask a robot what a deployment would find, and change nothing.

    Returns:
        The packages of its image, name to version; and the bytes of the files that would be sent.

    Raises: as :func:`deploy`.
    """
    connection.ask("open", store=robot.store, programs=robot.programs)
    offered = connection.ask("offer", release=release.offer, rehearsal=True)
    plan = connection.ask("plan", files=release.lists(offered["packages"]))
    return dict(offered["image"]), sum(part.size for part in release.parts(plan["lacking"]))
