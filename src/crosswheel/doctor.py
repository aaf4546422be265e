"""Examines what this machine has for builds, what is missing, and what to do about it. It changes nothing."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from crosswheel.debian import Debian
from crosswheel.debian.mirrors import NO_MIRROR_HINT, has_apt
from crosswheel.emulation.emulator import has_root, installed_qemu, is_native, kept_qemu
from crosswheel.errors import CrosswheelError, MissingToolError
from crosswheel.process import Runner
from crosswheel.sandbox.levels import find_sandbox
from crosswheel.settings import Settings
from crosswheel.targets import Target
from crosswheel.toolchain.compilers.rust import installed_rust
from crosswheel.toolchain.compilers.zig import zig_version
from crosswheel.toolchain.host_programs import install_command, is_usable, look_alike_fault
from crosswheel.toolchain.python.choosing import has_host, has_pythons, origin

# Space for toolchains, and for the sources and builds of a hundred packages.
_NEEDED_BYTES = 4 << 30

State = Literal["ok", "later", "without", "missing"]


@dataclass(frozen=True)
class Finding:
    """The state of one thing that builds need.

    Attributes:
        state: ``ok``; ``later``: the first build that needs it fetches it; ``without``: builds do not need it; or
            ``missing``.
        detail: where or in which version it is there, or why it is not.
        remedy: what to do if it is missing; otherwise empty.
    """

    name: str
    state: State
    detail: str
    remedy: str = ""


def examine(target: Target, settings: Settings, runner: Runner) -> Iterator[Finding]:
    """Examine everything that building for a target needs; yield a finding for each."""
    yield Finding("Python", "ok", f"{platform.python_version()}, runs crosswheel itself")
    yield Finding("zig", "ok", f"{zig_version()}, compiles C and C++")
    yield _cache(settings)
    yield _pythons(target, settings)
    yield from _emulation(target, settings, runner)
    yield _rust(target, settings, runner)
    yield from _programs(runner)
    yield _isolation(settings)
    yield _look_alike()


def _cache(settings: Settings) -> Finding:
    existing = next(path for path in (settings.cache, *settings.cache.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    detail = f"{settings.cache}, {free / (1 << 30):.0f} GiB free"
    if not os.access(existing, os.W_OK):
        return Finding("cache folder", "missing", detail, "it is not writable: set CROSSWHEEL_CACHE")
    if settings.cache_fault:
        return Finding("cache folder", "missing", settings.cache_fault, "set CROSSWHEEL_CACHE elsewhere")
    if free < _NEEDED_BYTES:
        return Finding(
            "cache folder", "missing", detail, "free some space, or set CROSSWHEEL_CACHE elsewhere"
        )
    return Finding("cache folder", "ok", detail)


def _pythons(target: Target, settings: Settings) -> Finding:
    name = f"Python {target.python.version} of {target.name}"
    if not has_host(target):
        remedy = f"build on one of: {', '.join(sorted(target.python.host))}"
        return Finding(name, "missing", f"none for {os.uname().machine}", remedy)
    if has_pythons(target, settings):
        return Finding(name, "ok", "with its twin for this machine")
    return Finding(name, "later", origin(target))


def _emulation(target: Target, settings: Settings, runner: Runner) -> Iterator[Finding]:
    origin = _debian_origin(target, settings, runner)
    qemu = installed_qemu(target) or kept_qemu(target, settings)
    native = False
    with contextlib.suppress(MissingToolError):  # without a sandbox, which is told apart
        native = is_native(target, settings)
    if native:
        yield Finding("emulator", "ok", "none is needed: this machine's CPU runs the target's code")
    elif qemu:
        yield Finding("emulator", "ok", str(qemu))
    elif origin:
        yield Finding(
            "emulator", "later", f"qemu-user-static is unpacked from {origin}; nothing is installed"
        )
    else:
        yield Finding("emulator", "missing", "no qemu-user, and no mirror of Debian is known", NO_MIRROR_HINT)
    name = f"libraries of {target.toolchain.debian}"
    if has_root(target, settings):
        yield Finding(name, "ok", "the C library that emulated programs load")
    elif origin:
        yield Finding(name, "later", f"unpacked from {origin}; nothing is installed")
    else:
        yield Finding(name, "missing", "no mirror of Debian is known", NO_MIRROR_HINT)


def _debian_origin(target: Target, settings: Settings, runner: Runner) -> str | None:
    """Return the source of Debian's packages; ``None`` if no mirror is known."""
    return Debian(target.toolchain.debian, settings, runner).sources.title


def _rust(target: Target, settings: Settings, runner: Runner) -> Finding:
    installed = installed_rust(target, runner)
    if installed:
        return Finding("Rust", "ok", f"{installed.version}, with {target.toolchain.rust}")
    if shutil.which("rustup"):
        return Finding("Rust", "later", f"rustup will be asked for {target.toolchain.rust}")
    origin = _debian_origin(target, settings, runner)
    if origin:
        return Finding("Rust", "later", f"unpacked from {origin}; nothing is installed")
    return Finding(
        "Rust",
        "missing",
        "no rustup, and no mirror of Debian is known",
        f"install rustup, then: rustup target add {target.toolchain.rust}; or {NO_MIRROR_HINT}",
    )


def _programs(runner: Runner) -> Iterator[Finding]:
    purposes = {
        "git": "sources from git, and patches",
        "make": "C libraries that are built from source",
        "perl": "building OpenSSL",
    }
    for name, purpose in purposes.items():
        if is_usable(name, runner):
            yield Finding(name, "ok", f"{shutil.which(name)}, for {purpose}")
        elif os.geteuid() == 0 and has_apt() and name != "git":
            yield Finding(name, "later", f"installed by apt-get when needed, for {purpose}")
        else:
            yield Finding(name, "missing", f"for {purpose}", f"install it: {install_command([name])}")


def _isolation(settings: Settings) -> Finding:
    try:
        sandbox = find_sandbox(settings.sandbox)
    except CrosswheelError as error:
        return Finding("sandbox", "missing", str(error), error.hint)
    ways = {
        "namespaces": f"builds see a file system, processes and a network of their own ({sandbox.bubblewrap})",
        "landlock": "Landlock and seccomp keep builds from files, processes and the network",
        "none": "none, as CROSSWHEEL_SANDBOX says: builds have all your rights",
    }
    return Finding("sandbox", "without" if sandbox.level == "none" else "ok", ways[sandbox.level])


def _look_alike() -> Finding:
    fault = look_alike_fault()
    if fault:
        return Finding("robot-sim", "without", str(fault), fault.hint)
    return Finding("robot-sim", "ok", "look-alike robots can be started")
