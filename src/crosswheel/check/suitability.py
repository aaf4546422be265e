"""Check whether the target's pip would install a wheel, and whether its Python would find the modules in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from crosswheel.check.fault import Fault

if TYPE_CHECKING:  # callers that read wheels without targets need not load these
    from crosswheel.targets import Target
from crosswheel.wheels.reading import WheelFile


def suitability(wheel: WheelFile, target: Target) -> list[Fault]:
    """Return why the target's pip would not install this wheel, or why its Python would not find one of its modules."""
    if wheel.tags.isdisjoint(target.tags):
        return [
            Fault(
                wheel.path.name,
                f"none of its tags is one that {target.title} accepts (CPython {target.python.short}, "
                f"{target.machine}, {target.abi.libc} or older): " + ", ".join(sorted(map(str, wheel.tags))),
                "take another wheel of this release, or build it here",
            )
        ]
    faults = list(_foreign_modules(wheel, target))
    requires_python = wheel.requires_python
    if requires_python is not None and not requires_python.contains(target.python.version, prereleases=True):
        faults.append(
            Fault(
                wheel.path.name,
                f"it requires Python {requires_python}, and {target.title} has {target.python.version}",
                "lock an older release that still supports this Python",
            )
        )
    return faults


def _foreign_modules(wheel: WheelFile, target: Target) -> Iterator[Fault]:
    # A wheel for every platform may hold modules for several and choose among them at run time.
    if wheel.is_pure:
        return
    loaded = wheel.extension_modules(target)
    for extension in wheel._extensions():
        if extension.module not in loaded:
            yield Fault(
                extension.member,
                f"the target's Python would not see the module {extension.module}: it is named for another "
                f"interpreter ({extension.suffix})",
                f"the suffix has to be {target.extension_suffix}: the build asked the host's Python for it",
            )
