"""Where Debian's packages come from: no host's name is known here.

A mirror or a file of apt sources that the user names; else the machine's own apt sources, where they are Debian's; else
the mirror that debootstrap names: Debian's own client, of which most distributions have a package. What comes from any
of them has to be signed by Debian's archive. Its public key is beside this module: the machine's keyring may lack it.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from crosswheel.cached import cached_folder
from crosswheel.debian.suites import Suite
from crosswheel.errors import BuildFailed, MissingToolError, UsageError
from crosswheel.process import Runner
from crosswheel.settings import Settings

# One release for all machines, whatever theirs is: the same packages everywhere, and none that was compiled for a
# 64-bit time_t, which a target with an older C library does not have.
SUITE = "bookworm"
GLIBC = "2.36"
_KEY = Path(__file__).with_name("archive-key.asc")
# Of archives beside Debian's that the machine's administrator trusts.
_TRUSTED = Path("/etc/apt/trusted.gpg.d")
# What a Debian's own suite may be called in its sources, besides by its name. Their mirror has the other suites, too.
_SUITES = ("oldoldstable", "oldstable", "stable", "testing", "unstable", "sid")
_STATED = "the mirror in CROSSWHEEL_DEBIAN_URL"
_OWN, _NAMED = "this machine's mirror of Debian", "the mirror of Debian that debootstrap names"
_DEBOOTSTRAP = "usr/sbin/debootstrap"
INSTALLED_DEBOOTSTRAP = Path("/") / _DEBOOTSTRAP
NO_MIRROR_HINT = (
    "set CROSSWHEEL_DEBIAN_URL to the address of a mirror of Debian, as its list of mirrors has it (of what it sends, "
    "nothing is taken that Debian's archive did not sign); or install debootstrap, which names one."
)
_SOURCES_HINT = "correct the file that CROSSWHEEL_DEBIAN_SOURCES names; see sources.list(5)."
_RELEASE = re.compile(r"^'((?!cdrom:)\S+/)dists/([^/']+)/InRelease'", re.MULTILINE)
_MIRROR = re.compile(r'^DEF_MIRROR="?([^"\s$]+)', re.MULTILINE)
_LINE = re.compile(
    r"^(deb|deb-src)[ \t]+(?:\[([^\]]*)\][ \t]+)?(\S+)[ \t]+(\S+)((?:[ \t]+[^\s#]+)*)", re.MULTILINE
)


@dataclass(frozen=True)
class Offer:
    """An archive to try: ``title`` tells people whose it is, ``suites`` gives what to take of it."""

    title: str
    suites: Callable[[], Sequence[Suite]]


@dataclass(frozen=True)
class Sources:
    """The sources of one architecture's packages.

    Attributes:
        stated: the address of a mirror that the user names.
        configured: the content of the file of apt sources that the user names.
        addresses: what the machine's own sources name, and may be mirrors of Debian.
        suite: the release that they are of.
    """

    architecture: str
    stated: str | None
    configured: str | None
    addresses: tuple[str, ...]
    suite: str = SUITE

    @property
    def title(self) -> str | None:
        """Whose they are, for people; ``None`` if none are known."""
        if self.stated is not None:
            return _STATED
        if self.configured is not None:
            return "the sources in CROSSWHEEL_DEBIAN_SOURCES"
        if self.addresses:
            return _OWN
        return _NAMED if INSTALLED_DEBOOTSTRAP.is_file() or has_apt() else None

    def offers(self, kind: str, settings: Settings, runner: Runner) -> Sequence[Offer]:
        """Return what to try, the best first.

        Args:
            kind: ``deb`` for binary packages, ``deb-src`` for sources.
        """
        if self.title is None:
            return []
        if self.stated is not None:
            return [Offer(self.title, partial(self._debian, self.stated))]
        if self.configured is not None:
            text = self.configured
            return [Offer(self.title, lambda: self._configured(text, kind))]
        offers = [Offer(_OWN, partial(self._debian, address)) for address in self.addresses]
        return [*offers, Offer(_NAMED, lambda: self._debian(debootstrap_mirror(settings, runner)))]

    def _debian(self, address: str) -> Sequence[Suite]:
        return [Suite(_folder(address), self.suite, ("main",), (_KEY.read_bytes(),))]

    def _configured(self, text: str, kind: str) -> Sequence[Suite]:
        suites = list(self._suites_of(text, kind))
        if not suites:
            raise UsageError(
                f"the apt sources have no {kind} line for {self.architecture}", hint=_SOURCES_HINT
            )
        return suites

    def _suites_of(self, text: str, kind: str) -> Iterator[Suite]:
        """Yield the suites of a file's lines; one that is Debian 12's serves for other releases."""
        for word, bracketed, address, name, components in _LINE.findall(text):
            options = dict(option.partition("=")[::2] for option in shlex.split(bracketed))
            architectures = options.get("arch", self.architecture).split(",")
            if word != kind or (kind == "deb" and self.architecture not in architectures):
                continue
            if name.endswith("/") or not components:
                raise UsageError(
                    f"the apt sources name {address} {name} without a component", hint=_SOURCES_HINT
                )
            keys = None if options.get("trusted") == "yes" else _keys(options.get("signed-by"))
            suite = self.suite if name == SUITE else name
            yield Suite(_folder(address), suite, tuple(components.split()), keys)


def has_apt() -> bool:
    """Return whether this machine's packages are apt's."""
    return bool(shutil.which("apt-get") and shutil.which("dpkg-deb"))


def sources_of(architecture: str, settings: Settings, runner: Runner, suite: str = SUITE) -> Sources:
    """Return where packages of an architecture are to be had; what the user names for one suite serves for others.

    Raises:
        UsageError: the file that the user names cannot be read.
    """
    if settings.debian:
        return Sources(architecture, settings.debian, None, (), suite)
    if settings.debian_sources:
        return Sources(architecture, None, _read(settings.debian_sources), (), suite)
    if not has_apt():
        return Sources(architecture, None, None, (), suite)
    system = os_release()
    suites = (system.get("VERSION_CODENAME", ""), *_SUITES) if system.get("ID") == "debian" else ()
    # Also where no lists were ever fetched. What of these is not Debian's is found out by its signature.
    printed = runner.run(["apt-get", "update", "--print-uris"]).output
    addresses = [address for address, offered in _RELEASE.findall(printed) if offered in (SUITE, *suites)]
    return Sources(architecture, None, None, tuple(dict.fromkeys(addresses)), suite)


def debootstrap_mirror(settings: Settings, runner: Runner) -> str:
    """Return the mirror that debootstrap takes where it is told none; it is unpacked if it is not installed.

    Raises:
        MissingToolError: it cannot be had, or names none.
    """
    program = INSTALLED_DEBOOTSTRAP
    if not program.is_file():
        unpack = partial(_unpack_debootstrap, runner)
        program = (
            cached_folder(settings.cache, "debian", "debootstrap", unpack, [_DEBOOTSTRAP]) / _DEBOOTSTRAP
        )
    match = _MIRROR.search(program.read_text())
    if match is None:
        raise MissingToolError(f"{program} names no mirror of Debian", hint=NO_MIRROR_HINT)
    return match[1]


def _unpack_debootstrap(runner: Runner, folder: Path) -> None:
    """Unpack debootstrap from the machine's own archive; by lists of our own, where the machine's are absent or old."""
    lists = folder / "apt"
    try:
        try:
            runner.run(["apt-get", "-q", "download", "debootstrap"], cwd=folder, timeout=600)
        except BuildFailed:
            options = _state_options(lists)
            runner.run(["apt-get", "-q", *options, "update"], timeout=900)
            runner.run(["apt-get", "-q", *options, "download", "debootstrap"], cwd=folder, timeout=600)
    except BuildFailed as error:
        raise MissingToolError(
            f"debootstrap, which knows a mirror of Debian, could not be fetched by this machine's own apt:\n{error}",
            hint="see whether `apt-get download debootstrap` works (on Ubuntu it is in the component main); or set "
            "CROSSWHEEL_DEBIAN_URL to the address of a mirror of Debian.",
        ) from error
    (package,) = folder.glob("debootstrap_*.deb")
    runner.run(["dpkg-deb", "-x", package, folder])
    package.unlink()
    shutil.rmtree(lists, ignore_errors=True)


def _state_options(state: Path) -> Sequence[str]:
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


def _keys(stated: str | None) -> tuple[bytes, ...]:
    """Return the keys that may sign what the user names: the stated one, else Debian's and what the machine trusts."""
    files = [Path(stated)] if stated else [_KEY, *sorted(_TRUSTED.glob("*.[ag][sp][cg]"))]
    try:
        return tuple(file.read_bytes() for file in files)
    except OSError as error:
        raise UsageError(
            f"the key {error.filename} of the apt sources cannot be read: {error.strerror}",
            hint=_SOURCES_HINT,
        ) from error


def _folder(address: str) -> str:
    return f"{address.rstrip('/')}/"
