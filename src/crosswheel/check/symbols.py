"""Check whether every symbol that an object requires is defined by an object loaded with it.

The emulator cannot tell, because its libraries are newer than the target's. Symbol versions alone cannot tell either:
the loader looks up an undefined symbol without a version by its name, in every library.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from packaging.version import Version

from crosswheel.check.bundled import Bundle
from crosswheel.check.elf_objects import UNVERSIONED, ElfObject, Exports, NeededVersion, Symbol
from crosswheel.check.fault import Fault
from crosswheel.check.system import PYTHON_NAME, System, exceeds, limits, numbered
from crosswheel.targets import Target

_MOST_NAMES = 4  # the number of symbols that a message lists


@dataclass(frozen=True)
class Subject:
    """One object, and all that its verdict depends on."""

    member: str
    object: ElfObject
    target: Target
    bundle: Bundle
    system: System

    def fault(self, message: str, remedy: str) -> Fault:
        """Return a fault of this object."""
        return Fault(self.member, message, remedy)


@dataclass(frozen=True)
class Verdict:
    """The certain faults, and the names that are neither certainly defined nor certainly missing.

    ``alone`` tells whether nothing is missing if the object is loaded before all others.
    """

    faults: tuple[Fault, ...] = ()
    unproven: tuple[str, ...] = ()
    loads_alone: bool = False


def system_versions(elf: ElfObject, bundle: Bundle) -> Iterator[NeededVersion]:
    """Yield the versions that the target's own libraries must define; bundled libraries define their own."""
    return (version for version in elf.versions if not bundle.has(version.library))


def judge_names(subject: Subject) -> Verdict:
    """Look up every version and symbol that an object needs, where the target's dynamic loader would."""
    # The loader continues without a weak version, and the program tests whether the symbol exists.
    defined = {v: _has_version(subject, v) for v in subject.object.versions if not v.weak}
    refused = [version for version, is_defined in defined.items() if is_defined is False]
    faults = [_refused_version(subject, version) for version in refused]
    unproven = [
        f"whether {version.library} has {version.version}"
        for version, is_defined in defined.items()
        if is_defined is None
    ]
    refused_names = {version.version for version in refused}
    symbols = _judge_symbols(subject, {s for s in subject.object.undefined if s.version not in refused_names})
    return Verdict((*faults, *symbols.faults), (*unproven, *symbols.unproven), symbols.loads_alone)


# --- versions ---


def _has_version(subject: Subject, needed: NeededVersion) -> bool | None:
    """Return whether a library defines a version that an object needs of it; ``None`` if unknown."""
    node = needed.version
    bundled = subject.bundle.bundled(subject.member, needed.library)
    if bundled:
        return any(_defines(elf.exports, node) for elf in bundled)
    library = subject.system.library(needed.library)
    if node in library.exports.nodes:
        return True
    if library.is_complete:
        return _defines(library.exports, node)
    over = exceeds(node, subject.target.abi)
    if over is None:
        return False if needed.library in subject.target.image.versions else None
    return not over


def _defines(exports: Exports, node: str) -> bool:
    # The loader requires no version of a library that defines none.
    return node in exports.nodes or not exports.nodes


def _refused_version(subject: Subject, needed: NeededVersion) -> Fault:
    need = f"it needs {needed.version} of {needed.library}"
    if needed.symbols:
        need += f" (for {_enumerated(needed.symbols)})"
    family, number = numbered(needed.version) or ("", None)
    limit = limits(subject.target.abi).get(family)
    if subject.bundle.bundled(subject.member, needed.library):
        return subject.fault(
            f"{need}, which the wheel's own does not define", "bundle the one it was linked with"
        )
    if limit and number and exceeds(needed.version, subject.target.abi):
        return subject.fault(
            f"{need}, and {subject.target.title} has {_at_most(family, limit)}",
            "build it here, where such a symbol is not offered; if it was, a static library that is "
            "linked in was made for a newer system: build that one from source as well",
        )
    if number is None and needed.version.startswith("GLIBC_"):
        return subject.fault(
            f"{need}, which fits one build of glibc alone, or newer ones",
            "build it here from source, without -z pack-relative-relocs",
        )
    return subject.fault(
        f"{need}, which that of {subject.target.title} does not define",
        "build it here, and link that library in statically (`libraries` in the recipe)",
    )


def _at_most(family: str, limit: str) -> str:
    return f"{family}_{limit} at most" if Version(limit) else f"no library with versions of {family}"


# --- symbols ---


def _judge_symbols(subject: Subject, undefined: Iterable[Symbol]) -> Verdict:
    by_itself, together = subject.bundle.loaded[subject.member], subject.bundle.together(subject.member)
    libraries = _libraries(subject, together)
    missing = _undefined(undefined, _scope(subject, together, libraries))
    loads_alone = _undefined(undefined, _scope(subject, by_itself, _libraries(subject, by_itself))) == missing
    nowhere = _undefined(missing, [elf.exports for elf in subject.bundle.objects.values()])
    python = {s.name for s in nowhere if not s.version and PYTHON_NAME.fullmatch(s.name)}
    later = {s.name for s in nowhere if _is_glibcs(s) and s.name in subject.system.later}
    unexplained = sorted({symbol.name for symbol in nowhere} - python - later)
    lent = sorted({symbol.name for symbol in missing} - {symbol.name for symbol in nowhere})
    unknown = [library for library in libraries if not subject.system.library(library).is_complete]
    unproven = []
    if lent:
        unproven.append(f"that what defines {_enumerated(lent)} in the wheel is loaded before it")
    if unexplained and unknown:
        unproven.append(
            f"whether {_enumerated(unknown)} define{'s' * (len(unknown) == 1)} {_enumerated(unexplained)}"
        )
    faults = [*_not_pythons(subject, sorted(python)), *_too_new(subject, sorted(later))]
    faults += [] if unknown else _defined_nowhere(subject, unexplained)
    return Verdict(tuple(faults), tuple(unproven), loads_alone and not lent)


def _libraries(subject: Subject, members: Iterable[str]) -> list[str]:
    """Return the target's libraries that are in the process when these objects of the wheel are loaded."""
    needed = {name for member in members for name in subject.bundle.objects[member].needed}
    present = {subject.system.loader} if subject.system.loader else set()
    if not subject.object.interpreter:  # a program runs in its own process, without Python in it
        present |= subject.system.loaded
    return sorted(subject.system.reached({name for name in needed if not subject.bundle.has(name)} | present))


def _scope(subject: Subject, members: Iterable[str], libraries: Iterable[str]) -> list[Exports]:
    """Return the exports that the loader searches for the symbols of an object."""
    scope = [subject.bundle.objects[member].exports for member in members]
    scope += [subject.system.library(library).exports for library in libraries]
    return scope if subject.object.interpreter else [*scope, subject.system.python]


def _is_glibcs(symbol: Symbol) -> bool:
    return symbol.version == UNVERSIONED or symbol.version.startswith("GLIBC_")


def _undefined(symbols: Iterable[Symbol], scope: Sequence[Exports]) -> list[Symbol]:
    return [symbol for symbol in symbols if not any(exports.has(symbol) for exports in scope)]


def _not_pythons(subject: Subject, names: Sequence[str]) -> Iterator[Fault]:
    if names:
        yield subject.fault(
            f"CPython {subject.target.python.version} does not offer {_enumerated(names)}",
            "the code is made for a newer Python, or uses a name that was removed: lock another release",
        )


def _too_new(subject: Subject, names: Sequence[str]) -> Iterator[Fault]:
    later = subject.system.later
    for version in sorted({later[name] for name in names}):
        of_it = [name for name in names if later[name] == version]
        yield subject.fault(
            f"it needs {_enumerated(of_it)} of glibc {version}, and {subject.target.title} has "
            f"{subject.target.abi.libc}",
            "build it here, where no header declares it; if it was, the code declares it by itself: have the recipe "
            "switch that off, or patch it",
        )


def _defined_nowhere(subject: Subject, names: Sequence[str]) -> Iterator[Fault]:
    if names:
        has = subject.system.libraries.items()
        owners = {soname for soname, library in has for name in names if name in library.exports.symbols}
        known = f" ({', '.join(sorted(owners))} would)" if owners else ""
        yield subject.fault(
            f"nothing that is loaded with it defines {_enumerated(names)}{known}",
            "link it with what does: a library (`libraries` in the recipe), or a source file that the build left out",
        )


def _enumerated(names: Sequence[str]) -> str:
    named = ", ".join(names[:_MOST_NAMES])
    return f"{named} and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else named
