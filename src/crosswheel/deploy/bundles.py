"""A release in one file: a program that installs itself, or a wheel that plain pip installs beside an image's packages.

The wheel has no dependencies. The whole closure is inside, under a folder of its own that is on nobody's ``sys.path``,
and the launchers use it as a virtual environment. A local version (PEP 440) makes pip prefer it to the release with
dependencies, and its platform tag keeps it from every machine but the robots it is for.
"""

from __future__ import annotations

import base64
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
from crosswheel.check.proof import Proof
from crosswheel.deploy.environment import HEADER
from crosswheel.deploy.image import robot_of
from crosswheel.deploy.release import Package, Release
from crosswheel.files import new_file, sha256_of

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same content gives the same bytes
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
                _add(archive, "__main__.py", agent.read_bytes())
                _add(archive, "place.json", json.dumps(place).encode())
                _add(archive, "release.json", json.dumps(release.manifest, separators=(",", ":")).encode())
                for sha256, source in sorted(release.contents.items()):
                    _add(archive, f"files/{sha256}", source.read_bytes())
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
    with new_file(path) as beside:
        _write_wheel(beside, release, root, f"{name}-{version}", version, tag)
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


def _write_wheel(path: Path, release: Release, root: Package, base: str, version: str, tag: str) -> None:
    rows = []
    with zipfile.ZipFile(path, "w") as archive:
        for member, data, executable in _members(release, root, base, version, tag):
            _add(archive, member, data, executable)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
            rows.append(f"{member},sha256={digest},{len(data)}\n")
        record = f"{base}.dist-info/RECORD"
        _add(archive, record, "".join([*rows, f"{record},,\n"]).encode())


def _members(
    release: Release, root: Package, base: str, version: str, tag: str
) -> Iterator[tuple[str, bytes, bool]]:
    """Give the members of the wheel but RECORD: path, bytes, and whether it is a program."""
    robot = robot_of(release.target)
    home = f"{base}.data/data/lib/crosswheel/{release.name}"
    for package in release.closure:
        for file in package.files:
            if "/__pycache__/" not in file.path:  # pip compiles what it installs
                yield f"{home}/{file.path}", (package.folder / file.path).read_bytes(), file.executable
    configuration = f"home = {robot.prefix}/bin\ninclude-system-site-packages = false\n"
    yield f"{home}/pyvenv.cfg", configuration.encode(), False
    for program in release.programs:
        launcher = _LAUNCHER.format(
            name=release.name, python=f"{robot.prefix}/bin/python3", command=_command(program, root)
        )
        yield f"{base}.data/scripts/{program}", launcher.encode(), True
    yield f"{base}.dist-info/METADATA", _metadata(root, version), False
    wheel = f"Wheel-Version: 1.0\nGenerator: crosswheel {__version__}\nRoot-Is-Purelib: false\nTag: {tag}\n"
    yield f"{base}.dist-info/WHEEL", wheel.encode(), False


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


def _add(archive: zipfile.ZipFile, member: str, data: bytes, executable: bool = False) -> None:
    entry = zipfile.ZipInfo(member, _EPOCH)
    entry.external_attr = (0o100755 if executable else 0o100644) << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, data)
