"""A folder of the shape of a Buildroot SDK, around Debian's cross GCC: nothing is installed, and no root is needed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from crosswheel import targets
from crosswheel.debian import Debian
from crosswheel.files import digest_of, new_folder
from crosswheel.process import Runner
from crosswheel.settings import Settings
from crosswheel.toolchain.python.choosing import target_python

TRIPLE = "arm-buildroot-linux-gnueabihf"  # what Buildroot calls it; Debian, and the compiler itself, do not
_DEBIAN = "arm-linux-gnueabihf"
_PACKAGES = (
    "gcc-12-arm-linux-gnueabihf", "cpp-12-arm-linux-gnueabihf", "g++-12-arm-linux-gnueabihf",
    "binutils-arm-linux-gnueabihf", "libgcc-12-dev-armhf-cross", "libstdc++-12-dev-armhf-cross",
    "libc6-dev-armhf-cross", "libc6-armhf-cross", "linux-libc-dev-armhf-cross", "libgcc-s1-armhf-cross",
    "libstdc++6-armhf-cross",
)  # fmt: skip
_PROGRAMS = {"gcc": "gcc-12", "g++": "g++-12", "ar": "ar", "ranlib": "ranlib", "objcopy": "objcopy"}
# Like Buildroot's own it works only where it was put by the script that comes with it.
_PROGRAM = """#!/bin/sh
cd_here=@LOCATION@
export LD_LIBRARY_PATH=$cd_here/host/usr/lib/@HOST@:$cd_here/host/lib/@HOST@
exec $cd_here/host/usr/bin/{name} {sysroot} "$@"
"""
_RELOCATE = """#!/bin/sh
cd "${0%/*}" && sed -i "s|cd_here=.*|cd_here=$PWD|" bin/*
"""
MARK = "#define HEADERS_OF_THE_SDK 1\n"


def debians_sdk(settings: Settings) -> Path:
    """Return the folder, made once in the user's cache; ``relocate-sdk.sh`` has been run in it."""
    host = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    folder = settings.cache / "test-sdk" / digest_of(packages=_PACKAGES, code=Path(__file__).read_text())
    if not folder.is_dir():
        with new_folder(folder) as beside:
            debian = Debian(host, settings, Runner())
            libraries = [name for name in debian.shared_libraries(_PACKAGES) if "-cross" not in name]
            debian.unpack([*_PACKAGES, *libraries], beside / "host")
            _shape(beside, settings)
        Runner().run([folder / "relocate-sdk.sh"])
    return folder


def _shape(folder: Path, settings: Settings) -> None:
    usr, sysroot = folder / "host" / "usr", folder / TRIPLE / "sysroot"
    (sysroot / "usr").mkdir(parents=True)
    for name in ("include", "lib"):  # C++ headers belong to the compiler, not to the sysroot
        shutil.copytree(
            usr / _DEBIAN / name, sysroot / "usr" / name, symlinks=True, ignore=shutil.ignore_patterns("c++")
        )
    script = sysroot / "usr" / "lib" / "libc.so"
    script.write_text(script.read_text().replace(f"/usr/{_DEBIAN}/lib", "/usr/lib"))
    for link in usr.glob("lib/gcc-cross/*/*/libstdc++.so"):
        link.unlink()
        link.symlink_to(os.path.relpath(sysroot / "usr" / "lib" / "libstdc++.so.6", link.parent))
    for path in (*usr.glob("bin/*lto-dump*"), usr / "share", usr / _DEBIAN / "lib"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    python = target_python(targets.load("debian-armhf"), settings)
    headers = sysroot / "usr" / "include" / python.include.name
    shutil.copytree(python.include, headers)
    with (headers / "Python.h").open("a") as stream:
        stream.write(MARK)
    (folder / "bin").mkdir()
    for name, real in _PROGRAMS.items():
        text = _PROGRAM.format(
            name=f"{_DEBIAN}-{real}",
            sysroot=f"--sysroot=$cd_here/{TRIPLE}/sysroot" if "g" in name and "-12" in real else "",
        ).replace("@HOST@", f"{os.uname().machine}-linux-gnu")
        _program(folder / "bin" / f"{TRIPLE}-{name}", text)
    _program(folder / "relocate-sdk.sh", _RELOCATE)


def _program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)
