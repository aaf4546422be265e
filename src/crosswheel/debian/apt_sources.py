"""Where Debian's packages come from, and how apt is told: no host's name is known here.

A file that the user names; else the machine's own apt sources, where they are Debian's; else the mirror that
debootstrap names: Debian's own client, of which every distribution with apt has a package. What comes from the last two
has to be signed by Debian's archive. Its public key is beside this module: the machine's keyring may lack it.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from crosswheel.errors import BuildFailed, MissingToolError, UsageError
from crosswheel.files import cached_folder
from crosswheel.process import Runner
from crosswheel.settings import Settings, cache_path

# One release for all machines, whatever theirs is: the same packages everywhere, and none that was compiled for a
# 64-bit time_t, which a target with an older C library does not have.
SUITE = "bookworm"
GLIBC = "2.36"
_KEY = Path(__file__).with_name("archive-key.asc")
# What a Debian's own suite may be called in its sources, besides by its name. Their mirror has the other suites, too.
_SUITES = ("oldoldstable", "oldstable", "stable", "testing", "unstable", "sid")
_OWN, _NAMED = "this machine's mirror of Debian", "the mirror of Debian that debootstrap names"
_DEBOOTSTRAP = "usr/sbin/debootstrap"
INSTALLED_DEBOOTSTRAP = Path("/") / _DEBOOTSTRAP
_RELEASE = re.compile(r"^'((?!cdrom:)\S+/)dists/([^/']+)/InRelease'", re.MULTILINE)
_MIRROR = re.compile(r'^DEF_MIRROR="?([^"\s$]+)', re.MULTILINE)


@dataclass(frozen=True)
class Offer:
    """Sources to try: ``title`` tells people whose they are, ``lines`` gives what apt is told (sources.list(5)).

    ``is_stated`` tells that the user named them, and answers for what they have.
    """

    title: str
    lines: Callable[[], str]
    is_stated: bool = False


@dataclass(frozen=True)
class Sources:
    """The sources of one architecture's packages.

    Attributes:
        stated: the content of the file that the user names.
        addresses: what the machine's own sources name, and may be mirrors of Debian.
        suite: the release that they are of.
    """

    architecture: str
    configured: str | None
    addresses: tuple[str, ...]
    suite: str = SUITE

    @property
    def title(self) -> str:
        """Whose they are, for people."""
        if self.configured is not None:
            return "the sources in CROSSWHEEL_DEBIAN_SOURCES"
        return _OWN if self.addresses else _NAMED

    def offers(self, settings: Settings, runner: Runner) -> Sequence[Offer]:
        """Return what to try, the best first."""
        mirror = self.configured
        if mirror is not None:
            return [Offer(self.title, lambda: mirror, is_stated=True)]
        offers = [Offer(_OWN, partial(self._lines, address)) for address in self.addresses]
        return [*offers, Offer(_NAMED, lambda: self._lines(debootstrap_mirror(settings, runner)))]

    def _lines(self, address: str) -> str:
        signed = f"signed-by={_quoted(_KEY)}"
        kinds = (f"deb [arch={self.architecture} {signed}]", f"deb-src [{signed}]")
        return "".join(f"{kind} {address} {self.suite} main\n" for kind in kinds)


def sources_of(architecture: str, settings: Settings, runner: Runner, suite: str = SUITE) -> Sources:
    """Return where packages of an architecture are to be had; what the user names for one suite serves for others.

    Raises:
        UsageError: the file that the user names cannot be read.
    """
    if settings.debian_sources:
        stated = re.sub(rf"(?<=\s){SUITE}(?=\s)", suite, _read(settings.debian_sources))
        return Sources(architecture, stated, (), suite)
    system = os_release()
    suites = (system.get("VERSION_CODENAME", ""), *_SUITES) if system.get("ID") == "debian" else ()
    # Also where no lists were ever fetched. What of these is not Debian's is found out by its signature.
    printed = runner.run(["apt-get", "update", "--print-uris"]).output
    addresses = [address for address, offered in _RELEASE.findall(printed) if offered in (SUITE, *suites)]
    return Sources(architecture, None, tuple(dict.fromkeys(addresses)), suite)


def debootstrap_mirror(settings: Settings, runner: Runner) -> str:
    """Return the mirror that debootstrap takes where it is told none; it is unpacked if it is not installed.

    Raises:
        MissingToolError: it cannot be had, or names none.
    """
    program = INSTALLED_DEBOOTSTRAP
    if not program.is_file():
        folder = cache_path(settings.cache, "debian") / "debootstrap"
        program = cached_folder(folder, [_DEBOOTSTRAP], partial(_unpack_debootstrap, runner)) / _DEBOOTSTRAP
    match = _MIRROR.search(program.read_text())
    if match is None:
        raise MissingToolError(
            f"{program} names no mirror of Debian",
            hint=f"name a file of apt sources for Debian's {SUITE} in CROSSWHEEL_DEBIAN_SOURCES.",
        )
    return match[1]


def _unpack_debootstrap(runner: Runner, folder: Path) -> None:
    """Unpack debootstrap from the machine's own archive; by lists of our own, where the machine's are absent or old."""
    lists = folder / "apt"
    try:
        try:
            runner.run(["apt-get", "-q", "download", "debootstrap"], cwd=folder, timeout=600)
        except BuildFailed:
            options = state_options(lists)
            runner.run(["apt-get", "-q", *options, "update"], timeout=900)
            runner.run(["apt-get", "-q", *options, "download", "debootstrap"], cwd=folder, timeout=600)
    except BuildFailed as error:
        raise MissingToolError(
            f"debootstrap, which knows a mirror of Debian, could not be fetched by this machine's own apt:\n{error}",
            hint="see whether `apt-get download debootstrap` works (on Ubuntu it is in the component main); or name a "
            f"file of apt sources for Debian's {SUITE} in CROSSWHEEL_DEBIAN_SOURCES.",
        ) from error
    (package,) = folder.glob("debootstrap_*.deb")
    runner.run(["dpkg-deb", "-x", package, folder])
    package.unlink()
    shutil.rmtree(lists, ignore_errors=True)


def state_options(state: Path) -> Sequence[str]:
    """Return the options by which apt keeps everything it writes below ``state``, and asks for no root."""
    for folder in ("lists/partial", "cache/archives/partial"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    options: dict[str, object] = {
        "Dir::State": state,
        "Dir::State::Lists": state / "lists",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": state / "cache",
        "Acquire::Retries": 2,
        "Acquire::Languages": "none",
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",  # a catalogue of desktop programs
    }
    if os.geteuid() == 0:
        options["APT::Sandbox::User"] = "root"  # or apt's own user could not write into our folder
    return as_options(options)


def as_options(options: Mapping[str, object]) -> list[str]:
    """Return settings of apt as words of a command."""
    return [word for key, value in options.items() for word in ("-o", f"{key}={value}")]


def os_release() -> Mapping[str, str]:
    """Return what the machine says it runs (os-release(5)); nothing, if it does not say."""
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return {}
    return {name: value.strip("\"'") for name, value in (line.split("=", 1) for line in lines if "=" in line)}


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UsageError(
            f"the apt sources {file} cannot be read: {reason}", hint="correct CROSSWHEEL_DEBIAN_SOURCES."
        ) from error


def _quoted(path: Path) -> str:
    """Return a path as apt reads it in a line of sources, where a space would end it."""
    return str(path).replace("%", "%25").replace(" ", "%20")
