"""Describe a target in plain words, for the terminal and for its page in an index."""

from __future__ import annotations

from crosswheel.targets import Target
from crosswheel.toolchain.python.choosing import origin

_MOST_LIBRARIES = 60


def facts(target: Target) -> list[tuple[str, str]]:
    """Return label and value of every known fact about a target."""
    abi, python, image = target.abi, target.python, target.image
    floats = "" if abi.float == "any" else f", {abi.float}-float"
    newest = f"{abi.libc}, GLIBCXX {abi.glibcxx}, CXXABI {abi.cxxabi}, GCC {abi.gcc}"
    sent = " that is sent there" if python.provided else ""
    lines = [
        (
            "machine",
            f"{target.machine}, {abi.bits}-bit, {abi.byte_order}-endian{floats}; Linux {target.kernel}",
        ),
        ("CPU", f"{target.toolchain.cpu} (as zig names it)"),
        ("Python", f"CPython {python.version}{sent}, pip {python.pip}, modules *{target.extension_suffix}"),
        ("newest symbols", newest),
        ("wheel tags", f"{len(target.tags)}, {target.tags[0]} the best"),
        ("proofs", _proofs(target)),
        ("libraries", _libraries(sorted(image.libraries))),
        ("packages", f"{len(image.packages)} in its image" if image.packages else "none in its image"),
    ]
    if target.robot:
        pip = "needs one wheel with a program's whole closure" if target.robot.bundle else "installs as usual"
        lines += [
            ("environments", f"in {target.robot.store}, commands in {target.robot.programs}"),
            ("plain pip", pip),
        ]
    return lines


def _proofs(target: Target) -> str:
    if target.userland:
        of = f" of {target.userland.system}" if target.userland.system else ""
        return f"in its own userland {target.userland.digest[:12]}{of}, where that is kept"
    if target.python.headers:
        return "not run: only its headers can be had"
    return f"emulated, as CPython {target.python.version}, {origin(target)}"


def _libraries(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_LIBRARIES} more" if len(names) > _MOST_LIBRARIES else ""
    return f"{len(names)}: {', '.join(names[:_MOST_LIBRARIES])}{more}"
