"""A release in one file: a program that installs itself on a robot, without any network."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

from crosswheel.build.rewriting import Member, add_member
from crosswheel.deploy.carried import bundle_members
from crosswheel.deploy.image import robot_of
from crosswheel.deploy.release import Release
from crosswheel.files import new_file

_SHEBANG = b"#!/usr/bin/env python3\n"


def write_program(release: Release, path: Path) -> None:
    """Write a release as a program: ``python <path> install`` on the robot installs it, without any network.

    The file ends with the SHA-256 of all that is before, so that it refuses to run with a changed byte.

    Raises:
        StorageError: it cannot be written.
    """
    robot = robot_of(release.target)
    place = {"store": robot.store, "programs": robot.programs, "name": release.name}
    with new_file(path) as beside:
        with beside.open("wb") as stream:
            stream.write(_SHEBANG)
            with zipfile.ZipFile(stream, "w") as archive:
                for member, data in bundle_members().items():
                    add_member(archive, Member(member, data))
                lists = release.lists(package.digest for package in release.packages)
                for name, value in (("place", place), ("release", release.offer), ("files", lists)):
                    text = json.dumps(value, separators=(",", ":"))
                    add_member(archive, Member(f"{name}.json", text.encode()))
                for sha256, source in sorted(release.contents.items()):
                    add_member(archive, Member(f"files/{sha256}", source.read_bytes()))
                archive.comment = b"0" * 64
        data = beside.read_bytes()[:-64]
        with beside.open("r+b") as stream:
            stream.seek(len(data))
            stream.write(hashlib.sha256(data).hexdigest().encode())
    path.chmod(0o755)
