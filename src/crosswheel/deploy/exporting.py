"""Writes the proven wheels of a program, with their hashes, as files for other installers."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

import tomlkit
from packaging.pylock import Package, PackageWheel, Pylock
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from crosswheel.deploy.assembling import LockedProgram, ProvenWheel
from crosswheel.errors import UsageError
from crosswheel.targets import Target

Where = Callable[[ProvenWheel], str]
"""Returns the path or the URL of a wheel."""


def as_requirements(program: LockedProgram, wheels: Sequence[ProvenWheel], target: Target) -> str:
    """Return a requirements file in pip's format, for hash-checking mode."""
    lines = [
        f"# {program.name} {program.version} for {target.title}: the hashes are of the wheels that were proven there.",
        "# pip install --require-hashes --only-binary :all: --index-url ADDRESS-OF-THE-INDEX -r THIS-FILE",
    ]
    for wheel in sorted(wheels, key=lambda wheel: wheel.pin.name):
        lines += [f"{wheel.pin} \\", f"    --hash=sha256:{wheel.proof.sha256}"]
    return "\n".join([*lines, ""])


def as_pylock(wheels: Sequence[ProvenWheel], target: Target, where: Where) -> str:
    """Return a ``pylock.toml`` (PEP 751) of exactly the proven wheels."""
    lock = Pylock(
        lock_version=Version("1.0"),
        created_by="crosswheel",
        requires_python=SpecifierSet(f"=={target.python.short}.*"),
        packages=[
            _package(wheel, where(wheel)) for wheel in sorted(wheels, key=lambda wheel: wheel.pin.name)
        ],
    )
    return tomlkit.dumps(dict(lock.to_dict()))


def _package(wheel: ProvenWheel, place: str) -> Package:
    entry = PackageWheel(
        name=wheel.path.name,
        hashes={"sha256": wheel.proof.sha256},
        size=wheel.path.stat().st_size,
        **{"url" if "://" in place else "path": place},  # type: ignore[arg-type]
    )
    return Package(name=canonicalize_name(wheel.pin.name), version=Version(wheel.pin.version), wheels=[entry])


def from_folder(folder: Path) -> Where:
    """Return a function that returns the paths of wheels, relative to a folder."""
    return lambda wheel: Path(os.path.relpath(wheel.path, folder)).as_posix()


def from_site(site: Path, address: str, target: Target) -> Where:
    """Return a function that returns the URLs of wheels in an index, given the index's folder and URL.

    The function raises :class:`UsageError` for a wheel that the index does not have.
    """

    def where(wheel: ProvenWheel) -> str:
        for below in ("simple", f"{target.name}/simple"):
            place = f"{below}/{canonicalize_name(wheel.pin.name)}/{wheel.path.name}"
            if (site / place).is_file():
                return f"{address.rstrip('/')}/{quote(place)}"
        raise UsageError(
            f"{wheel.path.name} is not in the index {site}", hint="make it anew with `crosswheel index`."
        )

    return where
