"""Provide the default C and C++ toolchain: zig, from a wheel, which compiles for any architecture and glibc."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from crosswheel.cached import cache_path
from crosswheel.errors import ToolchainError
from crosswheel.files import digest_of
from crosswheel.targets import Target
from crosswheel.toolchain.compilers.programs import Compilers, driver, driver_text, script, tools_folder


def zig_version() -> str:
    """Return the installed version of zig."""
    return metadata.version("ziglang")


def libcxx_version() -> str | None:
    """Return the LLVM version of zig's bundled libc++ and libunwind, as its headers state it."""
    text = (zig_folder() / "lib" / "libcxx" / "include" / "__config").read_text()
    match = re.search(r"define _LIBCPP_VERSION (\d+)(\d\d)(\d\d)$", text, re.MULTILINE)
    return ".".join(str(int(part)) for part in match.groups()) if match else None


def zig_compilers(target: Target, cache: Path) -> Compilers:
    """Return zig's compilers for the target, with their caches below ``cache``.

    Raises:
        ToolchainError: zig is not installed.
    """
    zig, triple = _zig(), _triple(target)
    defines = [f"-D{define}" for define in target.toolchain.defines]
    write = _dynamic_script if target.abi.musl else script
    programs = {
        name: write([*driver("zig", name, zig, triple, target.toolchain.cpu), *defines])
        for name in ("cc", "c++")
    }
    programs.update({name: script([zig, name]) for name in ("ar", "ranlib", "objcopy")})
    folder = tools_folder(programs, host_programs(), target.multiarch, cache)
    version = zig_version()
    identity = digest_of(zig=version, driver=driver_text(), target=[triple, target.toolchain.cpu, *defines])
    return Compilers(folder, identity, {"zig": version}, zig_environment(cache), "-lc++", Path(zig).parent)


def _dynamic_script(words: Sequence[str]) -> str:
    """Return a script that never links musl statically, which zig does where it is not told otherwise.

    For that it would compile all of musl, a minute in each build whose configure script tries ``-static``.
    """
    others = 'for word; do shift; [ "$word" = -static ] || set -- "$@" "$word"; done'
    return f'#!/bin/sh\n{others}\nexec {shlex.join([*words, "-dynamic"])} "$@"\n'


def _triple(target: Target) -> str:
    """Return zig's triple for the target, with the versions of its kernel and its glibc; zig has one musl."""
    machine, system, abi = target.toolchain.zig.split("-")
    kernel = ".".join(map(str, (*target.kernel_version.release, 0, 0)[:3]))
    return ".".join(filter(None, (f"{machine}-{system}.{kernel}-{abi}", target.linked_glibc)))


def zig_environment(cache: Path) -> Mapping[str, str]:
    """Return the variables that keep zig's own cache below ``cache``."""
    return {name: str(cache_path(cache, "zig")) for name in ("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR")}


def host_programs() -> Mapping[str, str]:
    """Return the compilers for this machine, by name, for programs that a build compiles to run here.

    Raises:
        ToolchainError: zig is not installed.
    """
    # glibc 2.17 is the oldest relevant one on 64-bit machines; programs built for it run on this one.
    triple = f"{os.uname().machine}-linux-gnu.2.17"
    return {
        f"host-{name}": _host_script(driver("zig", name, _zig(), triple, "baseline"))
        for name in ("cc", "c++")
    }


def zig_folder() -> Path:
    """Return the folder of zig and its data.

    Raises:
        ToolchainError: zig is not installed.
    """
    spec = find_spec("ziglang")
    if spec is None or spec.origin is None:
        raise ToolchainError(
            "zig is not installed", hint="install crosswheel's requirements again: ziglang is one."
        )
    return Path(spec.origin).parent


def _zig() -> str:
    return str(zig_folder() / "zig")


def _host_script(words: list[str]) -> str:
    # The recipe's options for the package do not apply to its build scripts.
    return f'#!/bin/sh\nunset CROSSWHEEL_OPTIMIZE CROSSWHEEL_COMPAT CROSSWHEEL_LINKS\nexec {shlex.join(words)} "$@"\n'
