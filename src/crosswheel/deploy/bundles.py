"""Writes bundles: a release in one file that installs itself on a robot, without any network."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO

from crosswheel.deploy.carried import bundle_members
from crosswheel.deploy.release import Release
from crosswheel.errors import MissingToolError, UsageError
from crosswheel.files import new_file
from crosswheel.process import Runner
from crosswheel.targets import Robot, robot_of
from crosswheel.wheels.writing import Member, add_member

_SHEBANG = b"#!/usr/bin/env python3\n"
_LEVEL = "-10"  # of Prefect, the default makes 48 MB, this 41, and 19 makes 36 in sixteen times the time


Offer = Mapping[str, object]
"""The description of a release for robots, signed or not (:mod:`crosswheel.deploy.signing`)."""
Form = Callable[[Release, Offer, Path, Runner], str]
"""Writes a release into a file; returns instructions for installing it."""


def form_of(path: Path) -> Form:
    """Return the form of a bundle, by its suffix.

    The robot's own Python runs a ``.pyz``. A ``.tar.zst`` has the same content as a folder: it is smaller, but has to
    be unpacked first by a program that knows Zstandard, which most robots do not have.

    Raises:
        UsageError: the suffix is not one of these.
    """
    for ending, form in _FORMS.items():
        if path.name.endswith(ending):
            return form
    raise UsageError(
        f"{path.name} tells no kind of bundle",
        hint="name it NAME.pyz, which a robot runs as it is, or NAME.tar.zst, which is unpacked before.",
    )


def _as_program(release: Release, offer: Offer, path: Path, runner: Runner) -> str:
    write_program(release, path, offer)
    return f"on the robot: python3 {path.name} install"


def _as_archive(release: Release, offer: Offer, path: Path, runner: Runner) -> str:
    folder = f"{release.name}-{release.version}-{release.target.name}"
    write_archive(release, folder, path, runner, offer)
    return (
        f"unpack it onto the robot, such as: zstd -dc {path.name} | ssh ROBOT tar -x -C /var; "
        f"then on the robot: python3 /var/{folder} install"
    )


_FORMS: Mapping[str, Form] = {".pyz": _as_program, ".tar.zst": _as_archive}


def write_program(release: Release, path: Path, offer: Offer | None = None) -> None:
    """Write a release as a program: ``python <path> install`` on the robot installs it, without any network.

    The file ends with the SHA-256 of its other bytes, so that it refuses to run if a byte was changed.

    Args:
        offer: the signed description of the release; without one, the bundle is not signed.

    Raises:
        StorageError: it cannot be written.
    """
    with new_file(path) as temporary:
        with temporary.open("wb") as stream:
            _pack(stream, _members(release, offer))
        _seal(temporary)
    path.chmod(0o755)


def installer(robot: Robot) -> bytes:
    """Return the program that robots keep to install bundles: a bundle without a release."""
    installed_at = json.dumps({"store": robot.store, "programs": robot.programs}).encode()
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "installer.pyz"
        members = {**bundle_members(), "place.json": installed_at}
        with path.open("wb") as stream:
            _pack(stream, (Member(name, data) for name, data in members.items()))
        _seal(path)
        return path.read_bytes()


def _pack(stream: IO[bytes], members: Iterable[Member]) -> None:
    stream.write(_SHEBANG)
    with zipfile.ZipFile(stream, "w") as archive:
        for member in members:
            add_member(archive, member)
        archive.comment = b"0" * 64


def _seal(path: Path) -> None:
    """Append to a program the SHA-256 of its bytes."""
    data = path.read_bytes()[:-64]
    with path.open("r+b") as stream:
        stream.seek(len(data))
        stream.write(hashlib.sha256(data).hexdigest().encode())


def write_archive(
    release: Release, folder: str, path: Path, runner: Runner, offer: Offer | None = None
) -> None:
    """Write a release as an archive of a folder: ``python <folder> install`` installs it.

    The archive has a checksum; the unpacked files are verified by the folder's ``SHA256`` and by their names.

    Raises:
        MissingToolError: ``zstd`` is not installed.
        StorageError: it cannot be written.
    """
    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch) / "bundle.tar"
        with tarfile.open(plain, "w", format=tarfile.PAX_FORMAT) as archive:
            for member in _members(release, offer):
                entry = tarfile.TarInfo(f"{folder}/{member.path}")
                entry.size = len(member.data)
                archive.addfile(entry, io.BytesIO(member.data))
        with new_file(path) as temporary:
            try:
                runner.run(["zstd", "-q", "-f", "-T0", _LEVEL, plain, "-o", temporary])
            except MissingToolError as error:
                raise MissingToolError(
                    "zstd, which packs a .tar.zst, is missing",
                    hint="on Debian and Ubuntu: apt-get install zstd. A bundle named NAME.pyz needs nothing.",
                ) from error


def _members(release: Release, offer: Offer | None) -> Iterator[Member]:
    robot = robot_of(release.target)
    installed_at = {"store": robot.store, "programs": robot.programs, "name": release.name}
    for path, data in bundle_members().items():
        yield Member(path, data)
    lists = release.lists(package.digest for package in release.packages)
    digest = hashlib.sha256()
    for name, value in (
        ("place", installed_at),
        ("release", offer or {"release": release.offer}),
        ("files", lists),
    ):
        text = json.dumps(value, separators=(",", ":")).encode()
        digest.update(text)
        yield Member(f"{name}.json", text)
    yield Member("SHA256", digest.hexdigest().encode())
    for sha256, source in release.contents.items():  # package by package, which compresses best
        yield Member(f"files/{sha256}", source.read_bytes())
