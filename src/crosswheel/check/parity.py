"""Compare a wheel with the official wheels of the same version for other platforms: only suffixes should differ.

This reveals at once what a build silently left out or wrongly added. A module for another CPU family alone is no loss:
the other official wheels lack it too.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from crosswheel.check.fault import Fault
from crosswheel.targets import Target
from crosswheel.wheels.reading import WheelFile

# A platform tag: system, then machine. The nearest system first.
_SYSTEMS = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?:musl|many|)linux(?:\d+|_\d+_\d+)?_(?P<machine>\w+)",
        r"macosx_\d+_\d+_(?P<machine>\w+)",
        r"win_?(?P<machine>\w+)",
    )
)
_FAMILIES = (re.compile(r"(?:arm|aarch)\w*"), re.compile(r"x86_64|amd64|i\d86|32|intel"))
_LARGE = re.compile(r"\w*64\w*|s390x|universal2")
# The machines that most people use; wheels for others may be made with less care.
_USUAL = ("x86_64", "aarch64")


@dataclass(frozen=True)
class Parity:
    """The result of comparing a wheel with official ones.

    Attributes:
        official: the file name of the nearest official wheel.
        faults: unexpected differences from all official wheels.
        notes: differences from some of them.
        missing: the extension modules that all of them have and the wheel lacks.
    """

    official: str
    faults: tuple[Fault, ...] = ()
    notes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


def official_wheels(candidates: Sequence[str], target: Target) -> list[str]:
    """Return the wheels of a release that are worth comparing with, the nearest first, one for each platform.

    Such wheels are native, fit the target's version of CPython or its stable ABI, and are for Linux if any is. The
    nearest is for the same CPU family, then for the same word size.

    Args:
        candidates: the file names of one release.
    """
    ranked = sorted((distance, name) for name in candidates for distance in _distances(name, target))
    platforms: dict[tuple[int, str, bool], str] = {}
    for distance, name in ranked:
        if distance.system == ranked[0][0].system:
            platforms.setdefault((distance.system, distance.machine, distance.musl), name)
    return list(dict.fromkeys(platforms.values()))


def compare(
    wheel: WheelFile, official: Iterator[WheelFile], target: Target, without: Collection[str] = ()
) -> Parity | None:
    """Return how a wheel differs from the official ones; ``None`` if there is none.

    Args:
        official: the nearest first; the others are fetched only if the wheel differs from that one.
        without: extension modules that the wheel should not have.
    """
    nearest = next(official, None)
    if nearest is None:
        return None
    name = nearest.path.name
    if (wheel.name, wheel.version) != (nearest.name, nearest.version):
        return Parity(name, (_other_version(wheel, nearest),))
    missing = nearest.extension_names - set(wheel.extension_modules(target)) - set(without)
    added = wheel.top_level_names - nearest.top_level_names
    everywhere, nowhere = missing, added
    while everywhere or nowhere:
        second = next(official, None)
        if second is None:
            break
        everywhere, nowhere = everywhere & second.extension_names, nowhere - second.top_level_names
    faults = [_missing_module(wheel, module, name) for module in sorted(everywhere)]
    faults += [_added_name(wheel, each, name) for each in sorted(nowhere)]
    notes = [
        _only_some(f"has no extension module {module}", "has", name)
        for module in sorted(missing - everywhere)
    ]
    notes += [
        _only_some(f"puts {each} into site-packages", "does not", name) for each in sorted(added - nowhere)
    ]
    return Parity(name, tuple(faults), tuple(notes), tuple(sorted(everywhere)))


def _only_some(subject: str, nearest: str, official: str) -> str:
    return f"it {subject}, where {official} {nearest}; other official wheels are as it is"


def _other_version(wheel: WheelFile, official: WheelFile) -> Fault:
    return Fault(
        wheel.path.name,
        f"it is {wheel.name} {wheel.version}, and the official wheel is {official.name} {official.version}",
        "where the version comes from the repository, the build lacks its plugin or its variable "
        "(setuptools_scm: SETUPTOOLS_SCM_PRETEND_VERSION)",
    )


def _missing_module(wheel: WheelFile, module: str, official: str) -> Fault:
    return Fault(
        wheel.path.name,
        f"the extension module {module} is missing, which {official} has",
        "an optional extension was left out without an error: the build log says which compiler, header "
        "or library was not found; a recipe says by `without` that it is not wanted",
    )


def _added_name(wheel: WheelFile, name: str, official: str) -> Fault:
    return Fault(
        wheel.path.name,
        f"it would put {name} into site-packages, which {official} does not have",
        "the build backend is newer than the release: pin the build requirements to its date (`as_of`)",
    )


@dataclass(frozen=True, order=True)
class _Distance:
    """The distance of a platform from the target's, and a tag's rank among interpreters; less is better."""

    system: int
    other_machine: bool
    other_family: bool
    other_size: bool
    unusual: bool
    machine: str
    musl: bool
    interpreter: int


def _distances(filename: str, target: Target) -> Iterator[_Distance]:
    """Yield the distance of each platform that a wheel supports, if it supports the target's Python."""
    try:
        tags = parse_wheel_filename(filename)[3]
    except InvalidWheelFilename:
        return
    accepted = [(known.interpreter, known.abi) for known in target.tags]
    for tag in tags:
        if (tag.interpreter, tag.abi) in accepted:
            yield from _distance(tag.platform, accepted.index((tag.interpreter, tag.abi)), target.machine)


def _distance(platform: str, interpreter: int, python_tag: str) -> Iterator[_Distance]:
    for system, pattern in enumerate(_SYSTEMS):
        if match := pattern.fullmatch(platform):
            machine = match["machine"]
            yield _Distance(
                system,
                machine != python_tag,
                _family(machine) != _family(python_tag),
                bool(_LARGE.fullmatch(machine)) != bool(_LARGE.fullmatch(python_tag)),
                machine not in _USUAL,
                machine,
                platform.startswith("musl"),
                interpreter,
            )
            return


def _family(machine: str) -> object:
    return next((number for number, pattern in enumerate(_FAMILIES) if pattern.fullmatch(machine)), machine)
