"""Reads and writes locks: the exact set of releases, with hashes, that satisfies a recipe's requirements for a target.

A lock is a requirements file that pip and uv can read. Its first lines state the requirements, the target and the day
that it was resolved for. It names no host. It lies beside its recipe: ``packages/prefect/3.3.4/ot2.lock``.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from crosswheel.errors import LockError, UsageError
from crosswheel.files import digest_of, write_text
from crosswheel.recipes.model import Recipe
from crosswheel.targets import Target

NEWER = "newer-fails"
"""The line of a lock about a newer day that was tried and does not work."""
_NO_DAY = "today"
_HEADER = re.compile(r"^# ([a-z-]+): (.*)$")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True)
class Pin:
    """A locked release; any file with one of the hashes ``sha256`` may be used."""

    name: str
    version: str
    sha256: frozenset[str]

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"


@dataclass(frozen=True)
class Lock:
    """The exact releases for a target, and the inputs that they were resolved from."""

    made_for: Mapping[str, str]
    pins: Mapping[str, Pin]

    @property
    def digest(self) -> str:
        """The digest of this exact set."""
        return digest_of(
            pins={pin.name: [pin.version, sorted(pin.sha256)] for pin in self.pins.values()},
            made_for=dict(self.made_for),
        )


def parsed(requirement: str) -> Requirement:
    """Parse a requirement of the command line (PEP 508).

    Raises:
        UsageError: it is not a requirement, or it names a URL.
    """
    try:
        checked = Requirement(requirement)
    except InvalidRequirement as error:
        reason = str(error).splitlines()[0]  # the other lines only mark the position
        raise UsageError(
            f"{requirement!r} is not a requirement: {reason}", hint="write NAME or NAME==VERSION."
        ) from error
    if checked.url:
        raise UsageError(
            f"{requirement!r} is at an address, and an index offers what is on a registry",
            hint="name a release; a recipe for it can name another source (url_source, git_source).",
        )
    return checked


def path_of(recipe: Recipe, target: Target) -> Path:
    """Return the path of a recipe's lock for a target."""
    return recipe.folder / f"{target.name}.lock"


def purpose(requirements: Iterable[str], target: Target, as_of: datetime.date | None) -> Mapping[str, str]:
    """Return the inputs that a lock is made for; the lock fits as long as they stay the same."""
    return {
        "requirements": ", ".join(sorted(requirements)),
        "target": target.name,
        "python": target.python.version,
        "platform": f"{target.machine}, {target.abi.libc}",
        "as-of": as_of.isoformat() if as_of else _NO_DAY,
    }


def day_of(made_for: Mapping[str, str]) -> datetime.date | None:
    """Return the day that a lock was resolved as of; ``None`` if it was made without a day.

    Raises:
        KeyError, ValueError: the lock does not state it.
    """
    return None if made_for["as-of"] == _NO_DAY else datetime.date.fromisoformat(made_for["as-of"])


def exceptions_of(made_for: Mapping[str, str]) -> Mapping[str, datetime.date]:
    """Return the packages of a lock that may be newer than its day, each with its own day."""
    stated = filter(None, made_for.get("exceptions", "").split(", "))
    return {
        name: datetime.date.fromisoformat(day) for name, _, day in (text.partition("=") for text in stated)
    }


def with_exceptions(
    made_for: Mapping[str, str], exceptions: Mapping[str, datetime.date]
) -> Mapping[str, str]:
    """Return the inputs of a lock, with the packages that may be newer than its day."""
    stated = ", ".join(f"{name}={day}" for name, day in sorted(exceptions.items()))
    return {**made_for, "exceptions": stated} if stated else made_for


def write(path: Path, made_for: Mapping[str, str], resolved: str) -> Lock:
    """Write a lock, and return it as :func:`read` would."""
    header = "# Made by `crosswheel lock`; renewed by the same command.\n"
    header += "".join(f"# {key}: {value}\n" for key, value in made_for.items())
    write_text(path, header + resolved)
    return read(path)


def note_newer(path: Path, day: datetime.date, reason: str) -> None:
    """Record in a lock which newer day does not work, and why."""
    lock = read(path)
    text = path.read_text()
    key, value = list(lock.made_for.items())[-1]
    last = f"# {key}: {value}\n"
    line = f"# {NEWER}: {day}: {' '.join(reason.split())}\n"
    if NEWER not in lock.made_for:
        write_text(path, text.replace(last, last + line, 1))


def rewrite(path: Path, text: str) -> Lock:
    """Replace the text of a lock, and return the lock as :func:`read` would."""
    write_text(path, text)
    return read(path)


def read(path: Path) -> Lock:
    """Read a lock.

    Raises:
        LockError: the lock is missing, or a line of it cannot be read.
    """
    try:
        text = path.read_text()
    except FileNotFoundError as error:
        raise LockError(
            f"there is no lock {path}", hint="make it with `crosswheel lock`, look at it, and commit it."
        ) from error
    made_for = {match[1]: match[2] for line in text.splitlines() if (match := _HEADER.match(line))}
    return Lock(made_for, {pin.name: pin for pin in pins_of(text, path)})


def pins_of(text: str, path: Path) -> Iterable[Pin]:
    """Return the releases in a requirements file with hashes.

    Args:
        path: the file's path, for messages.

    Raises:
        LockError: a line of it cannot be read.
    """
    lines = text.replace("\\\n", " ").splitlines()
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        requirement = line.split("--hash")[0].strip()
        name, version = _exact(requirement, path)
        hashes = frozenset(_HASH.findall(line))
        if not hashes:
            raise LockError(
                f"{path}: {requirement} has no sha256 hash, so nothing could be verified",
                hint="make the lock anew with `crosswheel lock`.",
            )
        yield Pin(name, version, hashes)


def _exact(pin: str, path: Path) -> tuple[str, str]:
    """Return the normalised name and version (PEP 503, PEP 440) of a requirement that only one version satisfies."""
    try:
        requirement = Requirement(pin)
        (specifier,) = requirement.specifier
    except (InvalidRequirement, ValueError):
        specifier = None
    if specifier is None or specifier.operator != "==" or specifier.version.endswith(".*"):
        raise LockError(
            f"{path}: {pin!r} is not an exact requirement such as name==1.0",
            hint="make the lock anew with `crosswheel lock`.",
        )
    return canonicalize_name(requirement.name), str(Version(specifier.version))


def require_fit(lock: Lock, path: Path, required: Mapping[str, str]) -> None:
    """Raise :class:`LockError` if a lock was made for other inputs than the present ones."""
    differences = [
        f"    {key}: the lock has {lock.made_for.get(key, 'nothing')!r}, the recipe and target say {value!r}"
        for key, value in required.items()
        if lock.made_for.get(key) != value
    ]
    if differences:
        raise LockError(
            f"{path} no longer fits its recipe:\n" + "\n".join(differences),
            hint="renew it with `crosswheel lock`, look at what changed, and commit it.",
        )


def changes(old: Lock | None, new: Lock) -> list[str]:
    """Return a line for each release that renewing a lock changed."""
    old_versions = {name: pin.version for name, pin in old.pins.items()} if old else {}
    after = {name: pin.version for name, pin in new.pins.items()}
    lines = []
    for name in sorted(old_versions.keys() | after.keys()):
        if old_versions.get(name) != after.get(name):
            lines.append(f"{name}: {old_versions.get(name, 'new')} -> {after.get(name, 'gone')}")
        elif old and old.pins[name].sha256 != new.pins[name].sha256:
            lines.append(f"{name}: {after[name]}, other files")
    return lines
