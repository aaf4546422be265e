"""A release in one file: a program that installs itself, or a wheel that plain pip installs beside an image's packages.

The wheel has no dependencies. The whole closure is inside, under a folder of its own that is on nobody's ``sys.path``,
and the launchers use it as a virtual environment. A local version (PEP 440) makes pip prefer it to the release with
dependencies, and its platform tag keeps it from every machine but the robots it is for.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32
from importlib import resources
from pathlib import Path

from packaging.utils import canonicalize_name

from crosswheel import __version__
from crosswheel.build.rewriting import Member, add_member
from crosswheel.build.rewriting import write_wheel as write_archive
from crosswheel.check.proof import Proof
from crosswheel.deploy.environment import HEADER
from crosswheel.deploy.image import robot_of
from crosswheel.deploy.release import Package, Release
from crosswheel.files import new_file, sha256_of

_SHEBANG = b"#!/usr/bin/env python3\n"

# A virtual environment is a folder with pyvenv.cfg and a link to an interpreter (PEP 405); a wheel cannot hold links.
_LAUNCHER = """#!/bin/sh
unset PYTHONHOME PYTHONPATH
launcher=$(readlink -f "$0")
environment=$(readlink -f "${{launcher%/*}}/../lib/crosswheel/{name}")
[ -e "$environment/bin/python3" ] || ln -sf {python} "$environment/bin/python3"
exec {command} "$@"
"""


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
                agent = resources.files(__package__) / "agent.py"
                add_member(archive, Member("__main__.py", agent.read_bytes()))
                add_member(archive, Member("place.json", json.dumps(place).encode()))
                manifest = json.dumps(release.manifest, separators=(",", ":"))
                add_member(archive, Member("release.json", manifest.encode()))
                for sha256, source in sorted(release.contents.items()):
                    add_member(archive, Member(f"files/{sha256}", source.read_bytes()))
                archive.comment = b"0" * 64
        data = beside.read_bytes()[:-64]
        with beside.open("r+b") as stream:
            stream.seek(len(data))
            stream.write(hashlib.sha256(data).hexdigest().encode())
    path.chmod(0o755)


def write_wheel(release: Release, dist: Path) -> Path:
    """Write a release as a wheel, with its proof, below ``dist``; return its path.

    Raises:
        StorageError: it cannot be written.
    """
    target = release.target
    root = next(package for package in release.closure if package.name == release.program)
    version = f"{root.version}+{target.name.replace('-', '.')}"
    name = canonicalize_name(root.name).replace("-", "_")
    tag = "cp{0}{1}-cp{0}{1}-{2}".format(*target.python.numbers, target.platform_tag)
    path = dist / root.name / version / f"{name}-{version}-{tag}.whl"
    base = f"{name}-{version}"
    write_archive(path, _members(release, root, base, version, tag), f"{base}.dist-info/RECORD")
    Proof(
        wheel=path.name,
        sha256=sha256_of(path),
        target=target.name,
        origin="built",
        reason="a bundle of the program with its closure, for an image that plain pip cannot install beside",
        source="the locked and proven wheels",
        toolchain={"crosswheel": __version__},
    ).write_beside(path)
    return path


def _members(release: Release, root: Package, base: str, version: str, tag: str) -> Iterator[Member]:
    """Give the members of the wheel but RECORD."""
    robot = robot_of(release.target)
    home = f"{base}.data/data/lib/crosswheel/{release.name}"
    for package in release.closure:
        for file in package.files:
            if "/__pycache__/" not in file.path:  # pip compiles what it installs
                data = (package.folder / file.path).read_bytes()
                yield Member(f"{home}/{file.path}", data, file.executable)
    configuration = f"home = {robot.prefix}/bin\ninclude-system-site-packages = false\n"
    yield Member(f"{home}/pyvenv.cfg", configuration.encode())
    for program in release.programs:
        launcher = _LAUNCHER.format(
            name=release.name, python=f"{robot.prefix}/bin/python3", command=_command(program, root)
        )
        yield Member(f"{base}.data/scripts/{program}", launcher.encode(), executable=True)
    yield Member(f"{base}.dist-info/METADATA", _metadata(root, version))
    wheel = f"Wheel-Version: 1.0\nGenerator: crosswheel {__version__}\nRoot-Is-Purelib: false\nTag: {tag}\n"
    yield Member(f"{base}.dist-info/WHEEL", wheel.encode())


def _command(program: str, root: Package) -> str:
    script = root.folder / "bin" / program
    if not script.is_file():
        return '"$environment/bin/python3"'
    words = f'"$environment/bin/{program}"'
    return f'"$environment/bin/python3" {words}' if script.read_bytes().startswith(HEADER) else words


def _metadata(root: Package, version: str) -> bytes:
    """Return the program's own metadata, at the bundle's version and without dependencies."""
    (source,) = [file.path for file in root.files if file.path.endswith(".dist-info/METADATA")]
    message: Message = BytesParser(policy=compat32).parsebytes((root.folder / source).read_bytes())
    for field in ("Requires-Dist", "Provides-Extra"):
        del message[field]
    message.replace_header("Version", version)
    return message.as_bytes()
