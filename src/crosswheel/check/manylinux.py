"""Find the oldest manylinux policy that a wheel keeps (PEP 600): what it may need of the systems it is installed on."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from packaging.version import Version
from pydantic import BaseModel, ConfigDict

from crosswheel.check.bundled import Bundle
from crosswheel.check.elf_objects import ElfObject, read_object
from crosswheel.check.fault import Fault
from crosswheel.check.symbols import system_versions
from crosswheel.check.system import numbered
from crosswheel.errors import TargetError
from crosswheel.targets import Target
from crosswheel.wheels.reading import WheelFile

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_LAST_WITH_UNDEFINED = Version("2.17")


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Policy(_Table):
    """What one level allows: the newest symbol version of each family, and the libraries that it adds."""

    glibc: str
    cxxabi: str
    glibcxx: str
    gcc: str
    zlib: str
    libatomic: str
    libraries: tuple[str, ...] = ()

    @property
    def limits(self) -> dict[str, str]:
        """The newest version of each family, but of glibc's, which is the level itself."""
        return {name.upper(): value for name, value in self if name not in ("glibc", "libraries")}


class _Undefined(_Table):
    undefined: tuple[str, ...]


class _Policies(_Table):
    machines: dict[str, str]
    until_2_17: _Undefined
    policy: tuple[_Policy, ...]


@cache
def _policies() -> _Policies:
    text = (resources.files("crosswheel.check") / "manylinux.toml").read_text()
    return _Policies.model_validate(tomllib.loads(text))


def release_target(target: Target) -> Target:
    """Return a target whose compilers make code for every machine that a manylinux tag stands for.

    That is every CPU of its kind, not the target's alone, with the oldest glibc of which the target's pip takes wheels.

    Raises:
        TargetError: no manylinux tag stands for that kind of machine.
    """
    cpu = None if target.abi.musl else _policies().machines.get(target.machine)
    if cpu is None:
        raise TargetError(
            f"there is no manylinux tag for {target.machine} with {target.abi.libc}, which {target.title} is",
            hint=f"leave --tag manylinux out; PEP 600's tags are for {', '.join(_policies().machines)}.",
        )
    glibc = target.abi.oldest_glibc if target.abi.oldest_glibc != target.abi.glibc else ""
    toolchain = target.toolchain.model_copy(update={"cpu": cpu, "glibc": glibc})
    return target.model_copy(update={"toolchain": toolchain})


@dataclass(frozen=True)
class PolicyVerdict:
    """The platform tag of the oldest policy that a wheel keeps; ``None``, with the reasons, if it keeps none."""

    platform: str | None
    faults: tuple[Fault, ...] = ()


def oldest_policy(wheel: WheelFile, target: Target) -> PolicyVerdict:
    """Return the oldest policy that a wheel keeps, among those that the target's pip accepts.

    Raises:
        UnreadableObject: an object in it cannot be read, which the audit tells before.
    """
    objects = {member: read_object(wheel.read(member)) for member in wheel.elf_members}
    bundle = Bundle.of(objects)
    oldest, newest = (int(version.split(".")[1]) for version in (target.abi.oldest_glibc, target.abi.glibc))
    faults: list[Fault] = []
    for minor in range(oldest, newest + 1):
        glibc = Version(f"2.{minor}")
        faults = [fault for member, elf in objects.items() for fault in _breaches(member, elf, bundle, glibc)]
        if not faults:
            return PolicyVerdict(f"manylinux_2_{minor}_{target.machine}")
    return PolicyVerdict(None, tuple(faults))


def _breaches(member: str, elf: ElfObject, bundle: Bundle, glibc: Version) -> Iterator[Fault]:
    """Yield what of an object the policy of a glibc does not allow."""
    levels = [policy for policy in _policies().policy if Version(policy.glibc) <= glibc]
    allowed = {library for policy in levels for library in policy.libraries}
    tag = f"manylinux_2_{glibc.minor}"
    for library in elf.needed:
        if library not in allowed and not library.startswith(("ld-", "ld64.")) and not bundle.has(library):
            yield Fault(
                member,
                f"it needs the library {library}, which is not on the list of {tag}",
                "link it in statically (`libraries` in a recipe), or leave --tag manylinux out",
            )
    limits = {**levels[-1].limits, "GLIBC": str(glibc)}
    for needed in system_versions(elf, bundle):
        family, number = numbered(needed.version) or ("", None)
        if number is not None and family in limits and number > Version(limits[family]):
            symbols = f" (for {', '.join(needed.symbols[:4])})" if needed.symbols else ""
            yield Fault(
                member,
                f"it needs {needed.version} of {needed.library}{symbols}, and {tag} has {family}_{limits[family]} at "
                "most",
                "build it for a target with an older C library, or leave --tag manylinux out",
            )
    yield from _undefined(member, elf, glibc, tag)


def _undefined(member: str, elf: ElfObject, glibc: Version, tag: str) -> Sequence[Fault]:
    named = _policies().until_2_17.undefined if glibc <= _LAST_WITH_UNDEFINED else ()
    return [
        Fault(
            member,
            f"it needs {symbol.name}, which systems of {tag} may lack",
            "build it for a target with a newer C library, or leave --tag manylinux out",
        )
        for symbol in sorted(elf.undefined, key=lambda symbol: symbol.name)
        if symbol.name in named
    ]
