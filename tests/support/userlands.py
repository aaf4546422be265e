"""Root file systems of machines, made of Debian's packages: what `crosswheel target learn` is given."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import pytest

from crosswheel import targets
from crosswheel.cached import CachedFolder
from crosswheel.debian import Debian
from crosswheel.errors import NetworkError
from crosswheel.files import digest_of
from crosswheel.process import Runner
from crosswheel.settings import Settings
from crosswheel.toolchain.python.choosing import target_python
from support.objects import Compiler

_LIBRARIES = ("libc6", "libgcc-s1", "libstdc++6", "zlib1g", "libexpat1", "libbz2-1.0", "liblzma5", "libuuid1")
_PYTHON = (
    "libffi8", "libcrypt1", "libssl3", "python3.11", "python3.11-minimal", "libpython3.11-minimal",
    "libpython3.11-stdlib", "python3-minimal", "python3-pip", "python3-markupsafe", "base-files",
)  # fmt: skip
# A libcrypt as glibc's own was: that of newer systems defines XCRYPT_2.0, too.
_CRYPT = "char *crypt(const char *key, const char *salt) { return 0; }"
_CRYPT_VERSIONS = "GLIBC_2.4 { global: crypt; local: *; };"


def bookworm(settings: Settings, runner: Runner) -> Path:
    """Return the root of a Debian 12 for armhf with its Python 3.11, pip and one package."""
    packages = (*_LIBRARIES, *_PYTHON)
    folder = settings.cache / "test-roots" / digest_of(packages=packages)
    fill = partial(Debian("armhf", settings, runner).unpack, packages)
    return CachedFolder(folder, ["usr/bin/python3.11", "lib/*/libc.so.6"]).make(fill)


def musl(settings: Settings, runner: Runner) -> Path:
    """Return the root of a machine with nothing but musl, which has no Python."""
    packages = ("base-files", "musl")
    folder = settings.cache / "test-roots" / digest_of(packages=packages, architecture="armhf")
    fill = partial(Debian("armhf", settings, runner).unpack, packages)
    return CachedFolder(folder, ["lib/ld-musl-armhf.so.1"]).make(fill)


def older(settings: Settings, runner: Runner, folder: Path) -> Path:
    """Make the root of a machine with glibc 2.31, its own libcrypt, and the Python of `ot2`.

    The test is skipped where the archive does not have Debian 11 any more.
    """
    archived = settings.cache / "test-roots" / digest_of(older=_LIBRARIES, suite="bullseye")
    fill = partial(_unpack_older, settings, runner)
    try:
        CachedFolder(archived, ["lib/*/libc-2.31.so"]).make(fill)
    except NetworkError as error:
        pytest.skip(f"there is no system here with a glibc that is old enough: {error}")
    root = folder / "root"
    shutil.copytree(archived, root, symlinks=True)
    tree = target_python(targets.load("ot2"), settings)
    for name in ("bin", "lib"):
        shutil.copytree(tree.root / name, root / "usr" / name, symlinks=True, dirs_exist_ok=True)
    for library in tree.root.glob("*.so.*"):
        shutil.copy2(library, root / "usr" / "lib" / library.name)
    (root / "usr" / "bin" / "python3").unlink(missing_ok=True)
    (root / "usr" / "bin" / "python3").symlink_to("/usr/bin/python3.10")  # as absolute as images have them
    (root / "lib" / "libcrypt.so.1").write_bytes(own_libcrypt(folder))
    return root


def own_libcrypt(folder: Path, *versions: str) -> bytes:
    """Return a libcrypt that defines the one version that glibc's own did, and more."""
    more = "".join(f"{version} {{ }};\n" for version in versions)
    (folder / "crypt.map").write_text(f"{_CRYPT_VERSIONS}\n{more}")
    flags = ("-shared", "-soname", "libcrypt.so.1", "--version-script", "crypt.map")
    return Compiler(folder).linked(_CRYPT, *flags, name="libcrypt.so.1")


def _unpack_older(settings: Settings, runner: Runner, folder: Path) -> None:
    Debian("armhf", settings, runner, suite="bullseye").unpack(_LIBRARIES, folder)
