"""The default C and C++ toolchain: zig, which compiles for any machine and any glibc, from a wheel."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from crosswheel.errors import ToolchainError
from crosswheel.files import digest_of, new_folder
from crosswheel.targets import Target
from crosswheel.toolchain.compilers import Compilers

_FRONT = Path(__file__).with_name("zig_cc.py")


def zig_version() -> str:
    """Return the version of zig that crosswheel is installed with."""
    return metadata.version("ziglang")


def zig_compilers(target: Target, cache: Path) -> Compilers:
    """Return compilers for the target that keep what they want to keep below ``cache``.

    Raises:
        ToolchainError: zig is not installed.
    """
    scripts = _scripts(target, _zig())
    folder = cache / "tools" / digest_of(scripts=scripts)
    if not folder.is_dir():
        with new_folder(folder) as beside:
            for name, text in scripts.items():
                (beside / name).write_text(text)
                (beside / name).chmod(0o755)
    version = zig_version()
    identity = digest_of(
        zig=version, front=_FRONT.read_text(), target=[_triple(target), target.toolchain.cpu]
    )
    own = {name: str(cache / "zig") for name in ("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR")}
    return Compilers(folder, identity, {"zig": version}, own)


def _zig() -> Path:
    spec = find_spec("ziglang")
    if spec is None or spec.origin is None:
        raise ToolchainError(
            "zig is not installed", hint="install crosswheel's requirements again: ziglang is one."
        )
    return Path(spec.origin).parent / "zig"


def _scripts(target: Target, zig: Path) -> Mapping[str, str]:
    triple = _triple(target)
    front = [sys.executable, "-ISs", str(_FRONT), str(zig)]
    # glibc 2.17 is the oldest that matters on 64-bit machines; what is built for it runs on this one.
    host = f"{os.uname().machine}-linux-gnu.2.17"
    scripts = {
        "host-cc": _host_script([*front, "cc", host, "baseline"]),
        "host-c++": _host_script([*front, "c++", host, "baseline"]),
    }
    for name, words in {
        "cc": [*front, "cc", triple, target.toolchain.cpu],
        "c++": [*front, "c++", triple, target.toolchain.cpu],
        "ar": [str(zig), "ar"],
        "ranlib": [str(zig), "ranlib"],
        "objcopy": [str(zig), "objcopy"],
    }.items():
        gnu = {"cc": "gcc", "c++": "g++"}.get(name, name)
        scripts[name] = scripts[f"{target.multiarch}-{gnu}"] = _script(words)
    return scripts


def _triple(target: Target) -> str:
    return f"{target.toolchain.zig}.{target.abi.glibc}"


def _script(words: list[str]) -> str:
    # sh, because the kernel limits the length of a `#!` line; exec, so that signals reach the compiler.
    return f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n'


def _host_script(words: list[str]) -> str:
    # What the recipe says of the package is not meant for a build script of it.
    return f'#!/bin/sh\nunset CROSSWHEEL_OPTIMIZE CROSSWHEEL_COMPAT\nexec {shlex.join(words)} "$@"\n'
