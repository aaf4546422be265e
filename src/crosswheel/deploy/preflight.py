"""What a plain installation would do to an image, and what an isolated one takes: said before anything is sent."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from packaging.utils import canonicalize_name

from crosswheel.deploy.release import Release
from crosswheel.versions import same_version

# Measured on Prefect's closure: compressed bytes sent for each byte of a release, what a robot's processor unpacks and
# writes in a second, meanwhile, and the seconds for all else. A guess for others, and called so.
_COMPRESSED = 0.34
_UNPACKED_PER_SECOND = 8e6
_ELSE_SECONDS = 2
# What lab networks give: Wi-Fi of a Raspberry Pi 3, and its cable.
_SPEEDS = {"Wi-Fi": 3e6, "cable": 10e6}


@dataclass(frozen=True)
class Clash:
    """A package that both the image and the program have.

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
        """Whether plain pip would have to put another version in its place."""
        return not same_version(self.needed, self.image)

    @property
    def consequence(self) -> str:
        """What plain pip would make of it."""
        if not self.differs:
            return "the same version: the image's is used"
        fails = "pip cannot remove the image's, which would win over one beside it"
        return f"{fails}; the robot server needs it as it is" if self.server else fails


def clashes(
    closure: Mapping[str, str], image: Mapping[str, str], server: Collection[str] = ()
) -> list[Clash]:
    """Return the packages that a plain installation of a closure would fight over with an image.

    Args:
        closure: what would be installed, normalised name to version.
        image: the image's packages, name to version.
        server: those that the robot's server imports.
    """
    have = {str(canonicalize_name(name)): version for name, version in image.items()}
    needed = {str(canonicalize_name(name)) for name in server}
    return [
        Clash(name, version, have[name], name in needed)
        for name, version in sorted(closure.items())
        if name in have
    ]


def cost(release: Release, to_send: int) -> list[str]:
    """Return what an isolated installation takes, as sentences.

    Args:
        to_send: bytes of the files that the robot lacks, unpacked.
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
