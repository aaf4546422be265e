"""Predicts what a plain installation would change in an image, and what an isolated one costs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from packaging.utils import canonicalize_name

from crosswheel.deploy.release import Release
from crosswheel.targets import Target
from crosswheel.versions import same_version

# Measured with Prefect's closure: compressed bytes for each byte of a release, the bytes that a robot unpacks and
# writes in a second meanwhile, and the seconds for all else. For other programs they are an estimate, and called so.
_COMPRESSED = 0.34
_UNPACKED_PER_SECOND = 8e6
_ELSE_SECONDS = 2
# Usual speeds in laboratories: the Wi-Fi of a Raspberry Pi 3, and its Ethernet.
_SPEEDS = {"Wi-Fi": 3e6, "cable": 10e6}


@dataclass(frozen=True)
class Clash:
    """A package that is both in the image and in the program's closure.

    Attributes:
        wanted, image: the two versions.
        server: whether the robot's own server imports it.
    """

    name: str
    needed: str
    image: str
    server: bool

    @property
    def differs(self) -> bool:
        """Whether plain pip would have to replace the image's version."""
        return not same_version(self.needed, self.image)

    @property
    def consequence(self) -> str:
        """What plain pip would do to the image's package, in words."""
        if not self.differs:
            return "the same version: the image's is used"
        fails = "pip cannot remove the image's, which would win over one beside it"
        return f"{fails}; the robot server needs it as it is" if self.server else fails


def clashes(
    closure: Mapping[str, str], image: Mapping[str, str], server: Collection[str] = ()
) -> list[Clash]:
    """Return the packages that are both in a closure and in an image.

    Args:
        closure: the versions of the closure's packages, by normalised name.
        image: the versions of the image's packages, by name.
        server: the image's packages that the robot's server imports.
    """
    have = {str(canonicalize_name(name)): version for name, version in image.items()}
    needed = {str(canonicalize_name(name)) for name in server}
    return [
        Clash(name, version, have[name], name in needed)
        for name, version in sorted(closure.items())
        if name in have
    ]


def image_changes(target: Target, machine: Mapping[str, object], image: Mapping[str, str]) -> list[str]:
    """Return what a robot has otherwise than when its target was learned; nothing for one that was not.

    Args:
        machine: what the robot tells of itself (:func:`crosswheel.agent.machine.about_this_machine`).
        image: the packages of its own Python, as far as it tells, name to version.
    """
    if target.userland is None:
        return []
    learned: dict[str, tuple[str, object]] = {"its system": (target.userland.system, machine.get("system"))}
    if target.abi.glibc:
        learned["its C library"] = (target.abi.glibc, machine.get("glibc"))
    if not target.python.provided:
        learned["its Python"] = (target.python.version, machine.get("python"))
    have = {str(canonicalize_name(name)): version for name, version in image.items()}
    for name, version in target.image.packages.items():
        learned[name] = (version, have.get(str(canonicalize_name(name)), version))
    return [f"{name} {before} → {now}" for name, (before, now) in learned.items() if now and before != now]


def cost(release: Release, to_send: int) -> list[str]:
    """Return sentences about the time and space of an isolated installation.

    Args:
        to_send: the uncompressed bytes of the files that the robot lacks.
    """
    files = sum(len(package.files) for package in release.packages)
    sent = to_send * _COMPRESSED
    work = to_send / _UNPACKED_PER_SECOND
    times = ", ".join(
        f"{max(sent / speed, work) + _ELSE_SECONDS:.0f} s by {way}" for way, speed in _SPEEDS.items()
    )
    return [
        f"On the robot: {release.size / 1e6:.1f} MB in {files} files, of which {to_send / 1e6:.1f} MB are new.",
        f"To send: about {sent / 1e6:.1f} MB. It will take about {times}, and the program's first start.",
    ]
