"""A wheel against the official one of the same version for another platform: only the suffixes should differ.

What a build left out silently, or put in by mistake, shows here at once.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from crosswheel.check.fault import Fault
from crosswheel.targets import Target
from crosswheel.wheels.reading import WheelFile

# The nearest relative first: the same system, then the same kernel, then anything native.
_PLATFORMS = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?:manylinux\w*|linux)_x86_64",
        r"(?:manylinux\w*|linux)_aarch64",
        r"(?:manylinux\w*|linux)_\w+",
        r"musllinux_\w+",
        r"macosx_\w+",
        r"win\w*",
    )
)


def choose_official(candidates: Sequence[str], target: Target) -> str | None:
    """Return which wheel of a release is the best to compare with, or ``None`` if none is of use.

    Args:
        candidates: file names of the files of one release.

    It is a native wheel for another machine, for the target's version of CPython or its stable ABI.
    """
    ranked = [(rank, name) for name in candidates for rank in [_rank(name, target)] if rank is not None]
    return min(ranked)[1] if ranked else None


def compare(
    wheel: WheelFile, official: WheelFile, target: Target, without: Collection[str] = ()
) -> list[Fault]:
    """Return in what a wheel differs from the official one, where it should not.

    Args:
        without: extension modules that it is not to have.
    """
    if (wheel.name, wheel.version) != (official.name, official.version):
        return [
            Fault(
                wheel.path.name,
                f"it is {wheel.name} {wheel.version}, and the official wheel is {official.name} "
                f"{official.version}",
                "where the version comes from the repository, the build lacks its plugin or its variable "
                "(setuptools_scm: SETUPTOOLS_SCM_PRETEND_VERSION)",
            )
        ]
    return [*_missing_modules(wheel, official, target, without), *_added_names(wheel, official)]


def _missing_modules(
    wheel: WheelFile, official: WheelFile, target: Target, without: Collection[str]
) -> list[Fault]:
    return [
        Fault(
            wheel.path.name,
            f"the extension module {module} is missing, which {official.path.name} has",
            "an optional extension was left out without an error: the build log says which compiler, header "
            "or library was not found; a recipe says by `without` that it is not wanted",
        )
        for module in sorted(official.extension_names - set(wheel.extension_modules(target)) - set(without))
    ]


def _added_names(wheel: WheelFile, official: WheelFile) -> list[Fault]:
    return [
        Fault(
            wheel.path.name,
            f"it would put {name} into site-packages, which {official.path.name} does not have",
            "the build backend is newer than the release: pin the build requirements to its date (`as_of`)",
        )
        for name in sorted(wheel.top_level_names - official.top_level_names)
    ]


def _rank(filename: str, target: Target) -> tuple[int, int] | None:
    """Return how good a wheel is to compare with (less is better): by platform, then by interpreter."""
    try:
        tags = parse_wheel_filename(filename)[3]
    except InvalidWheelFilename:
        return None
    ranks = [rank for tag in tags for rank in [_tag_rank(tag, target)] if rank is not None]
    return min(ranks) if ranks else None


def _tag_rank(tag: Tag, target: Target) -> tuple[int, int] | None:
    accepted = [(known.interpreter, known.abi) for known in target.tags]
    if (tag.interpreter, tag.abi) not in accepted or tag.platform.endswith(f"_{target.machine}"):
        return None
    for number, platform in enumerate(_PLATFORMS):
        if platform.fullmatch(tag.platform):
            return number, accepted.index((tag.interpreter, tag.abi))
    return None
