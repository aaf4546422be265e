"""Write a complete target file from a machine's facts, with every guess marked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from packaging.utils import canonicalize_name
from packaging.version import Version

from crosswheel import targets
from crosswheel.errors import TargetError
from crosswheel.learning.facts import LibraryFacts
from crosswheel.learning.python_facts import PythonFacts
from crosswheel.targets import Artifact, Robot, Target

_WIDE_TIME = ("_TIME_BITS=64", "_FILE_OFFSET_BITS=64")
_GUESS = "a guess"
_OLDEST_GLIBC = "2.17"
_LINE = 100
_LONGEST_COMMENT = 300


@dataclass(frozen=True)
class Known:
    """A value for a target's file, with its comment."""

    value: object
    note: str = ""


@dataclass(frozen=True)
class Learned:
    """All facts that were learned about a machine.

    Attributes:
        name, title: the target's name and title.
        system: the system's name in ``os-release``; ``suite`` is Debian's name of its release, if it is Debian's.
        machine: what ``uname -m`` prints for its programs.
        python: the answers of its own Python, or ``provided``, the minor version of the one that is sent there.
        kernel: the kernel's release.
        page_bytes: the size of a memory page.
        userland: the digest of its userland, and ``python`` the path of its Python there; empty if only facts were
            requested.
        robot: how programs are kept there.
        live: whether the running machine was queried.
        day: the day of learning.
        remarks: other facts, for people.
    """

    name: str
    title: str
    system: str
    libraries: LibraryFacts
    machine: Known
    python: PythonFacts | None
    kernel: Known
    page_bytes: Known
    robot: Robot
    python_path: str
    provided: str | None = None
    suite: str = ""
    userland: str = ""
    live: bool = False
    day: date | None = None
    remarks: tuple[str, ...] = ()


def description(file: str, learned: Learned) -> tuple[str, Target]:
    """Return the text of a target's file, and the target parsed from it.

    Args:
        file: the file's name.

    Raises:
        TargetError: no known Python of its version could build for it.
    """
    target = targets.parse(file, _described(learned, ()))
    taken = learned.python.tags if learned.python else ()
    refused = [tag for tag in map(str, target.tags) if taken and tag not in taken]
    text = _described(learned, refused)
    return text, targets.parse(file, text)


def _described(learned: Learned, refused_tags: Sequence[str]) -> str:
    parts = (
        _top(learned),
        _python(learned, refused_tags),
        _abi(learned),
        _toolchain(learned),
        _image(learned),
    )
    lines = [line for part in (*parts, _userland(learned), _robot(learned)) for line in (*part, "")]
    return "\n".join(lines[:-1]) + "\n"


def _top(learned: Learned) -> Iterator[str]:
    names = learned.libraries.kind.names
    how = "asked itself" if learned.live else "learned from its root file system"
    yield f"# {learned.title}: {how} on {learned.day}, by `crosswheel target learn`."
    yield "# Learn it again after an update of its image."
    yield from (f"#   {_comment(remark)}" for remark in learned.remarks)
    yield from _lines(
        {
            "name": Known(learned.name),
            "title": Known(learned.title),
            "machine": learned.machine,
            "kernel": learned.kernel,
            "multiarch": Known(names.multiarch),
        }
    )


def _python(learned: Learned, refused_tags: Sequence[str]) -> Iterator[str]:
    python = learned.python
    yield "[python]"
    if python is None:
        yield "# It has none of its own: this one is built from its source, and sent there."
        yield f"provided = {_text(learned.provided)}"
        return
    pip = Known(python.pip) if python.pip else Known("0", "it has none")
    yield from _lines(
        {
            "version": Known(python.version),
            "soabi": Known(python.soabi),
            "sysconfigdata": Known(python.sysconfigdata),
            "pip": pip,
        }
    )
    if not python.tags:
        yield "# Which wheel tags it takes is a guess, as pips of today would: it has no pip that could be asked."
    if refused_tags:
        yield "# Wheel tags that pips of today take for such a Python, and its own does not; it was asked."
        yield from _list("refused_tags", refused_tags)
    yield from _distribution(learned, python)


def _packaged_like(learned: Learned) -> Target | None:
    """Return a shipped target whose Python is that of the same packages, perhaps for another architecture."""
    for target in map(targets.load, targets.names()):
        of_suite = target.python.packaged and target.toolchain.suite == learned.suite
        if of_suite and learned.python and target.python.short == learned.python.short:
            return target
    return None


def _distribution(learned: Learned, python: PythonFacts) -> Iterator[str]:
    """Yield the Pythons to compile against and to run build hooks, taken from a shipped target."""
    packaged = _packaged_like(learned)
    if packaged:
        yield f"# Its distribution's packages of {packaged.toolchain.suite} have the headers."
        yield "packaged = true"
        yield from _hosts(packaged)
        return
    names = learned.libraries.kind.names
    shipped = map(targets.load, targets.names())
    published = (target for target in shipped if target.python.target or target.python.headers)
    of_version = [target for target in published if target.python.short == python.short]
    same = [target for target in of_version if target.multiarch == names.multiarch]
    target = next((item for item in (*same, *of_version)), None)
    if target is None and python.short in targets.python_sources():
        yield "# Nobody publishes a build of this minor version: one is built from its source."
        yield f"built = {_text(python.short)}"
        return
    if target is None:
        raise TargetError(
            f"{learned.title} has Python {python.version}, and no build of Python {python.short} for "
            "this machine is known",
            hint="see docs/targets.md on `distribution`.",
        )
    known = target.python
    yield "# Builds of this minor version: one whose headers are compiled with, and one for the machine that builds."
    own = known.target if target in same else None
    other = known.headers or known.target
    if own:
        yield f"target = {_artifact(own)}"
    elif other:
        yield f"headers = {_artifact(other)}"
    yield from _hosts(target)


def _hosts(target: Target) -> Iterator[str]:
    """Yield the published Pythons that run build hooks; nothing if there are none, and one is built."""
    if target.python.host:
        yield f"distribution = {_text(target.python.distribution or '')}"
        yield from ("", "[python.host]")
        yield from (f"{machine} = {_artifact(found)}" for machine, found in target.python.host.items())


def _abi(learned: Learned) -> Iterator[str]:
    facts, elf = learned.libraries, learned.libraries.kind.elf
    yield "[abi]                             # what a shared object may ask for: read from its libraries"
    yield from _lines(
        {
            "elf_machine": Known(elf.machine),
            "bits": Known(elf.bits),
            "byte_order": Known(elf.byte_order),
            "float": Known(elf.float),
            **_libc(learned),
            "glibcxx": _newest(facts, "GLIBCXX", "libstdc++.so.6"),
            "cxxabi": _newest(facts, "CXXABI", "libstdc++.so.6"),
            "gcc": _newest(facts, "GCC", "libgcc_s.so.1"),
            "long_double_bits": Known(facts.kind.names.long_double_bits),
            "page_bytes": learned.page_bytes,
        }
    )


def _libc(learned: Learned) -> Mapping[str, Known]:
    """Return the version of the C library, and of glibc the oldest one whose published wheels are taken."""
    facts = learned.libraries
    if facts.musl:
        return {"musl": Known(facts.musl)}
    oldest = min(learned.python.manylinux if learned.python else (), default=None)
    accepted = Known(f"2.{oldest}", "the oldest that its pip takes wheels for")
    if oldest is None:
        accepted = Known(_OLDEST_GLIBC, f"{_GUESS}: it has no pip that could be asked")
    if Version(str(accepted.value)) < Version(_OLDEST_GLIBC):
        accepted = Known(_OLDEST_GLIBC)
    return {"glibc": Known(facts.glibc), "oldest_glibc": accepted}


def _newest(facts: LibraryFacts, family: str, library: str) -> Known:
    newest = facts.newest.get(family)
    return Known(newest) if newest else Known("0.0", f"it has no {library}")


def _toolchain(learned: Learned) -> Iterator[str]:
    tools, names = learned.libraries.kind.tools, learned.libraries.kind.names
    packaged = _packaged_like(learned)
    yield "[toolchain]"
    yield from _lines(
        {
            "zig": Known(tools.zig),
            "cpu": Known(tools.cpu, f"{_GUESS}: the least of its kind; a better one makes faster code"),
            "rust": Known(tools.rust),
            "debian": Known(names.debian),
            **({"suite": Known(packaged.toolchain.suite)} if packaged else {}),
            "qemu": Known(tools.qemu),
            "qemu_cpu": Known(tools.qemu_cpu, f"{_GUESS}: no instruction beyond these is accepted"),
        }
    )
    # musl has no other time, and needs no macro for it.
    if learned.python and learned.python.has_wide_time and not learned.libraries.musl:
        yield "# Its Python was compiled with these: a 32-bit machine whose libraries tell time with 64 bits."
        yield from _list("defines", _WIDE_TIME)


def _image(learned: Learned) -> Iterator[str]:
    facts = learned.libraries
    yield "[image]"
    yield f"loader = {_text(facts.loader)}"
    yield "# The shared libraries that its dynamic loader finds, by soname."
    yield from _list("libraries", facts.sonames)
    if facts.versions:
        yield from (
            "",
            "# All symbol versions that a library defines, where they do not go by [abi].",
            "[image.versions]",
        )
        yield from (f"{_text(name)} = {_array(nodes)}" for name, nodes in facts.versions.items())
    if learned.python and learned.python.packages:
        yield from ("", "# The Python packages that its image has.", "[image.packages]")
        packages = {canonicalize_name(name): version for name, version in learned.python.packages.items()}
        yield from (f"{_key(name)} = {_text(packages[name])}" for name in sorted(packages))


def _userland(learned: Learned) -> Iterator[str]:
    if not learned.userland:
        yield "# Only facts were asked for: wheels are run with other libraries than its own until it is learned"
        yield "# without --facts-only."
        return
    yield "# Its own loader, libraries and Python, which lie in the cache: wheels are audited and run with these."
    yield "[userland]"
    yield from _lines(
        {
            "digest": Known(learned.userland),
            **({"python": Known(learned.python_path)} if learned.python_path else {}),
            "system": Known(learned.system),
        }
    )


def _robot(learned: Learned) -> Iterator[str]:
    robot = learned.robot
    note = "" if learned.live else f"{_GUESS}: the machine itself was not asked"
    yield "# Where isolated environments live."
    yield "[robot]"
    yield from _lines(
        {
            "store": Known(robot.store, note),
            "programs": Known(robot.programs, note),
            "prefix": Known(robot.prefix),
            "pip_config": Known(robot.pip_config),
            "bundle": Known(robot.bundle, note),
        }
    )
    if learned.python and learned.python.imported:
        who = "services and running programs" if learned.live else "services"
        yield f"# What its {who} import of its image's packages, with what these require."
        yield from _list("server", learned.python.imported)


def _lines(values: Mapping[str, Known]) -> Iterator[str]:
    for name, known in values.items():
        line = f"{name} = {_text(known.value)}"
        yield f"{line:<34}# {known.note}" if known.note else line


def _text(value: object) -> str:
    """Return a value in TOML; its strings are JSON strings with DEL escaped."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _comment(text: str) -> str:
    """Return a comment line without control characters, which TOML forbids."""
    return "".join(char if char.isprintable() else "?" for char in text)[:_LONGEST_COMMENT]


def _key(name: str) -> str:
    return name if all(char.isascii() and (char.isalnum() or char in "-_") for char in name) else _text(name)


def _array(values: Sequence[str]) -> str:
    return "[" + ", ".join(map(_text, values)) + "]"


def _list(name: str, values: Sequence[str]) -> Iterator[str]:
    yield f"{name} = ["
    line = "   "
    for value in values:
        if len(line) + len(value) > _LINE:
            yield line
            line = "   "
        line += f" {_text(value)},"
    yield line
    yield "]"


def _artifact(artifact: Artifact) -> str:
    return f"{{ classifier = {_text(artifact.classifier)}, sha256 = {_text(artifact.sha256)} }}"
