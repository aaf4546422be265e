"""Deploys a release to a robot over one connection: sends only the files that it lacks, then switches atomically."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from crosswheel.deploy.bundles import installer
from crosswheel.deploy.preflight import Clash, clashes, image_changes
from crosswheel.deploy.release import Release
from crosswheel.deploy.service import restart
from crosswheel.deploy.ssh import Connection
from crosswheel.targets import Robot, Target

_MOST_CHANGES = 4
Tell = Callable[[str], None]
"""Called with a sentence when a step begins."""
Sent = Callable[[int, int], None]
"""Called with the number of bytes sent so far and the total, before compression."""


@dataclass(frozen=True)
class Deployed:
    """The result of a deployment.

    Attributes:
        sent: the bytes that went over the connection.
        files: the number of files that were sent.
        seconds: the time from the first request to the switch.
        generation: the number of the release's generation on the robot.
        clashes: packages that the robot's image has at other versions; they stay, and the release does not see them.
        services: the services that were restarted, as they ran another version.
        warnings: what may not work as expected.
        pinned: the key that this deployment pinned; the robot now refuses releases that it has not signed.
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

    If the deployment is interrupted, the robot still has either the version before or this one.

    Args:
        keep: the number of earlier versions to keep on the robot.
        offer: the signed description of the release (:func:`crosswheel.deploy.signing.signed_offer`); without one, the
            release is not signed.

    Raises:
        TargetError: the release is not for this kind of robot.
        StorageError: the robot has too little space; nothing was sent.
        CheckFailed: the release fails its test there; the version before stays active.
        UsageError: another deployment is running, or another file has a launcher's path.
        IntegrityError: the robot's pinned key has not signed the release, or the signature is too old.
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
    warnings = (*_other_image(release.target, machine, offered), *_shadowing(offered, robot))
    files = 0
    if offered["packages"]:
        parts = release.parts(connection.ask("plan", files=release.lists(offered["packages"]))["lacking"])
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
        warnings=(*warnings, *faults),
        pinned=active["pinned"],
    )


def _keep_installer(
    robot: Robot, offer: Mapping[str, object] | None, known: str | None, connection: Connection
) -> None:
    """Store the program that installs bundles on a robot that verifies signatures, if it does not have this version."""
    program = installer(robot) if offer and "envelope" in offer else None
    if program is not None and hashlib.sha256(program).hexdigest() != known:
        connection.ask("keep_installer", data=base64.b64encode(program).decode())


def _other_image(target: Target, machine: Mapping[str, Any], offered: Mapping[str, Any]) -> Iterator[str]:
    """Yield a warning if the robot's image is not the one that its target was learned from."""
    changed = image_changes(target, machine, offered["image"])
    if changed:
        shown = "; ".join(changed[:_MOST_CHANGES]) + (" and more" if changed[_MOST_CHANGES:] else "")
        yield (
            f"its image was updated since {target.name} was learned ({shown}), and the wheels were proven for the one "
            f"before: `crosswheel target update {target.name} --robot HOST` tells which, then build and deploy again"
        )


def _shadowing(offered: Mapping[str, Any], robot: Robot) -> Iterator[str]:
    """Yield a warning for each program of the image that hides a program of the release."""
    for path in offered["shadowing"]:
        yield (
            f"{path} comes first on a login's PATH: write {robot.programs}/{path.rpartition('/')[2]} to run this one, "
            "or deploy it under another --name"
        )


@dataclass(frozen=True)
class Rehearsed:
    """What a deployment would find on a robot.

    Attributes:
        image: the packages of its image, name to version.
        size: the bytes of the files that would be sent.
        warnings: what does not work as it may be expected to.
    """

    image: Mapping[str, str]
    size: int
    warnings: tuple[str, ...]


def rehearse(release: Release, robot: Robot, connection: Connection) -> Rehearsed:
    """Ask a robot what a deployment would find, and change nothing.

    Raises: as :func:`deploy`.
    """
    machine = connection.ask("open", store=robot.store, programs=robot.programs)
    offered = connection.ask("offer", release=release.offer, rehearsal=True)
    plan = connection.ask("plan", files=release.lists(offered["packages"]))
    size = sum(part.size for part in release.parts(plan["lacking"]))
    warnings = tuple(_other_image(release.target, machine, offered))
    return Rehearsed(dict(offered["image"]), size, warnings)
