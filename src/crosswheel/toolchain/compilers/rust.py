"""Provide Rust for a target: the user's own through rustup, or Debian's; zig links in either case."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

from crosswheel.cached import CachedFolder, cache_path, cached_path, cached_texts
from crosswheel.debian import Debian, host_architecture
from crosswheel.debian.newer_glibc import C_LIBRARY, load_from, needs_libc
from crosswheel.errors import CrosswheelError, MissingToolError
from crosswheel.files import digest_of
from crosswheel.process import Runner
from crosswheel.settings import Settings
from crosswheel.targets import Target

# Debian's Rust packages: a newer one for web browsers (bookworm), and the ordinary one (trixie and later).
_DEBIAN_FLAVOURS = (("rustc-web", "cargo-web", "libstd-rust-web"), ("rustc", "cargo", "libstd-rust"))
# Words end with a NUL: cargo's facts about the package, then the call. Each process writes a file of its own.
_RECORDER = """\
#!/bin/sh
if [ -n "$CROSSWHEEL_LINKS" ] && [ -n "$CARGO_PKG_NAME" ]; then
    printf '%s\\000' "$CARGO_PKG_NAME" "$CARGO_PKG_VERSION" "$CARGO_PKG_LICENSE" "$@" >"$CROSSWHEEL_LINKS/$$.rustc"
fi
exec "$@"
"""


@dataclass(frozen=True)
class Rust:
    """A Rust installation that can compile for the target.

    Attributes:
        bin: the folder of ``cargo`` and ``rustc``.
        libraries: folders of shared libraries that they need, if they are not installed.
        version: the output of ``rustc --version``.
    """

    bin: Path
    libraries: tuple[Path, ...]
    version: str

    def environment(self, target: Target, tools: Path, cache: Path) -> Mapping[str, str]:
        """Return the variables with which cargo, maturin, setuptools-rust and the cc crate build for the target."""
        triple, host = target.toolchain.rust, f"{os.uname().machine}-unknown-linux-gnu"
        key, host_key = _variable(triple), _variable(host)
        variables = {
            "CARGO_HOME": str(cache_path(cache, "cargo")),
            "CARGO_BUILD_TARGET": triple,
            f"CARGO_TARGET_{key}_LINKER": str(tools / "cc"),
            f"CARGO_TARGET_{host_key}_LINKER": str(tools / "host-cc"),
            "CARGO_PROFILE_RELEASE_STRIP": "symbols",
            "CARGO_TERM_PROGRESS_WHEN": "never",
            "RUSTC_WRAPPER": str(_recorder(cache)),
            f"CARGO_TARGET_{key}_RUSTFLAGS": f"-C target-cpu={target.toolchain.cpu_model or 'generic'}",
        }
        for suffix, tool in (("CC", "cc"), ("CXX", "c++"), ("AR", "ar")):
            variables[f"{suffix}_{triple.replace('-', '_')}"] = str(tools / tool)
        variables.update(HOST_CC=str(tools / "host-cc"), HOST_CXX=str(tools / "host-c++"))
        if self.libraries:
            variables["LD_LIBRARY_PATH"] = os.pathsep.join(map(str, self.libraries))
        return variables


def rust_for(target: Target, settings: Settings, runner: Runner) -> Rust:
    """Return a Rust for the target: an installed one, one that rustup completes, or Debian's.

    Raises:
        MissingToolError: none of them is available.
    """
    installed = installed_rust(target, runner)
    if installed:
        return installed
    if shutil.which("rustup") and not settings.offline:
        runner.run(["rustup", "target", "add", target.toolchain.rust], check=False, timeout=600)
        completed = installed_rust(target, runner)
        if completed:
            return completed
    try:
        return _debian(target, settings, runner)
    except CrosswheelError as error:
        raise MissingToolError(
            f"no Rust compiler for {target.toolchain.rust} was found, nor could Debian's be fetched:\n    {error}",
            hint=f"install rustup, then: rustup target add {target.toolchain.rust}",
        ) from error


def installed_rust(target: Target, runner: Runner) -> Rust | None:
    """Return the Rust on this machine, if it has the target's standard library."""
    rustc = shutil.which("rustc")
    if rustc is None:
        return None
    # Run in a neutral folder, because a rust-toolchain file in a source tree must not choose another version.
    answer = runner.run([rustc, "--print", "sysroot"], cwd=Path("/"), check=False)
    if answer.returncode != 0:
        return None
    sysroot = Path(answer.lines[-1])
    standard_library = sysroot / "lib" / "rustlib" / target.toolchain.rust / "lib"
    if not any(standard_library.glob("libstd-*.rlib")):
        return None
    binaries = sysroot / "bin"  # not rustup's shims, which read files in the source tree
    if not (binaries / "cargo").is_file():
        return None
    return Rust(binaries, (), _version(binaries, (), runner))


def _debian(target: Target, settings: Settings, runner: Runner) -> Rust:
    host = Debian(host_architecture(), settings, runner)
    brings_libc = needs_libc()
    standard_library = f"usr/lib/rustlib/{target.toolchain.rust}/lib/libstd-*.rlib"
    holds = ["usr/bin/rustc", "usr/bin/cargo", "usr/lib/**/librustc_driver-*.so", standard_library]
    name = f"{target.toolchain.rust}{'-libc' if brings_libc else ''}"
    kept = CachedFolder.of(settings.cache, "rust", name, holds)
    folder = kept.path

    def fill(temporary: Path) -> None:
        foreign = Debian(target.toolchain.debian, settings, runner)
        rustc, cargo, std, version = newest_common(host, foreign)
        programs = [f"{name}={version}" for name in (rustc, cargo, f"{std}-dev", _runtime(std, version))]
        needed = [*programs, *host.shared_libraries(programs), *([C_LIBRARY] if brings_libc else ())]
        host.unpack(needed, temporary)
        if brings_libc:
            load_from(temporary, folder, runner)
        foreign.unpack([f"{std}-dev={version}"], temporary)

    kept.make(fill)
    multiarch = f"{os.uname().machine}-linux-gnu"
    folders = [p.parent for p in folder.glob("usr/lib/**/librustc_driver-*.so")]
    folders += [
        folder / "usr" / "lib" / multiarch,
        folder / "lib" / multiarch,
    ]  # both, because trixie merged them
    libraries = tuple(dict.fromkeys(library_folder for library_folder in folders if library_folder.is_dir()))
    binaries = folder / "usr" / "bin"
    if brings_libc:
        libraries = ()  # the programs know where theirs are
    return Rust(binaries, libraries, _version(binaries, libraries, runner))


def newest_common(host: Debian, foreign: Debian) -> tuple[str, str, str, str]:
    """Return a variant's rustc, cargo and standard library, and the newest version that both architectures have."""
    best: tuple[Version, tuple[str, str, str, str]] | None = None
    for rustc, cargo, std in _DEBIAN_FLAVOURS:
        common = set(host.versions(rustc)) & set(foreign.versions(f"{std}-dev"))
        for version in common & set(host.versions(cargo)):
            upstream = Version(re.split(r"[+-]", version)[0])
            if best is None or upstream > best[0]:
                best = upstream, (rustc, cargo, std, version)
    if best is None:
        raise MissingToolError(
            f"Debian has no Rust in the same version for this machine and {foreign.architecture}",
            hint="install rustup.",
        )
    return best[1]


def _runtime(std: str, version: str) -> str:
    """Return the package of rustc's shared library, which has the version in its name: libstd-rust-web-1.85."""
    short = ".".join(re.split(r"[+-]", version)[0].split(".")[:2])
    return f"{std}-{short}"


def _version(binaries: Path, libraries: Sequence[Path], runner: Runner) -> str:
    env = {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries))} if libraries else None
    return runner.run([binaries / "rustc", "--version"], cwd=Path("/"), env=env).lines[0]


def _recorder(cache: Path) -> Path:
    """Return the wrapper through which cargo calls rustc; it records the inputs of each crate."""
    folder, name = cached_path(cache, "tools", f"rustc-{digest_of(text=_RECORDER)}"), "rustc-wrapper"
    return cached_texts(folder, {name: _RECORDER}, [name]) / name


def _variable(triple: str) -> str:
    return triple.upper().replace("-", "_")
