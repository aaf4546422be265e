"""The root file system of a look-alike robot: an emulated Linux with the target's Python and its image's packages.

It is like the robot in what matters to an installation: Python's version and ABI, pip and its configuration, the
image's packages at their versions in a read-only folder that comes first, busybox, dropbear. It differs in its C
library, which is newer (that something loads here proves nothing about symbol versions), and in the packages of
:attr:`Image.hollow`.
"""

from __future__ import annotations

import configparser
import json
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.utils import canonicalize_name

from crosswheel.cached import CachedFolder
from crosswheel.debian import Debian
from crosswheel.emulation.emulator import ROOT_PACKAGES, Emulator, emulator_for
from crosswheel.errors import PlanError
from crosswheel.files import digest_of
from crosswheel.lock import Pin
from crosswheel.plan import choose
from crosswheel.process import Runner
from crosswheel.recipes.model import Recipe
from crosswheel.registry import Registry, ReleaseFile
from crosswheel.settings import Settings
from crosswheel.targets import Robot, Target, robot_of
from crosswheel.toolchain.python.choosing import host_python
from crosswheel.wheels.reading import installed_path

_PACKAGES = (*ROOT_PACKAGES, "busybox", "dropbear-bin", "libtomcrypt1", "libtommath1", "libgmp10")
_FOLDERS = ("data", "dev", "etc", "proc", "root", "run", "sys", "tmp", "usr/bin", "var")
_LAYOUT = 3  # raised when what is made below changes
_HOLDS = ("hollow.json", "root/bin/busybox", "root/usr/sbin/dropbear")

# What pip asks about the C library (PEP 600): the emulated one is newer than the robot's.
_MANYLINUX = "def manylinux_compatible(major, minor, arch):\n    return (major, minor) <= ({}, {})\n"
_STAND_IN = '"""A stand-in: the release has no wheel at all, so only its name and version are here."""\n'


def _silent(text: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class LookAlikeImage:
    """A look-alike's root.

    Attributes:
        root: its folder; nothing in it is ever written to.
        hollow: the image's packages that are not whole: ``without its compiled parts`` for a release that has wheels,
            but none for this machine; ``a stand-in`` for one that has none at all.
    """

    target: Target
    root: Path
    emulator: Emulator
    hollow: Mapping[str, str]


def image_for(
    target: Target, settings: Settings, runner: Runner, tell: Callable[[str], None] = _silent
) -> LookAlikeImage:
    """Return the look-alike of a target, made if need be.

    Args:
        tell: is told what is done meanwhile, where it has to be made.

    Raises:
        MissingToolError, NetworkError: Debian's packages or the emulator cannot be had.
        TargetError: the target does not describe a robot.
    """
    robot_of(target)
    tables = {"python", "abi", "toolchain", "image", "robot"}
    digest = digest_of(
        layout=_LAYOUT, packages=_PACKAGES, target=target.model_dump(mode="json", include=tables)
    )
    kept = CachedFolder.of(settings.cache, "robots", f"{target.name}-{digest}", _HOLDS)
    if not kept.is_whole:
        tell(f"making the look-alike {target.title}: once, and it takes a few minutes")
    # Its kernel starts each program by the emulator, whatever this machine's CPU can do.
    emulator = emulator_for(target, replace(settings, native=False), runner)

    def fill(temporary: Path) -> None:
        hollow = _make(temporary / "root", emulator, target, settings, runner, tell)
        (temporary / "hollow.json").write_text(json.dumps(hollow, indent=1))

    folder = kept.make(fill)
    return LookAlikeImage(target, folder / "root", emulator, json.loads((folder / "hollow.json").read_text()))


def _make(
    root: Path,
    emulator: Emulator,
    target: Target,
    settings: Settings,
    runner: Runner,
    tell: Callable[[str], None],
) -> dict[str, str]:
    """Make the root; return the packages that are not whole."""
    robot = robot_of(target)
    tell(f"fetching programs and libraries of Debian: {', '.join(_PACKAGES)}")
    Debian(target.toolchain.debian, settings, runner).unpack(_PACKAGES, root)
    for name in _FOLDERS:
        (root / name).mkdir(parents=True, exist_ok=True)
    _add_python(root, robot, emulator)
    _add_applets(root, emulator, runner)
    _add_configuration(root, target, robot)
    hollow = _add_packages(_site(root, target, robot), target, settings, tell)
    tell("compiling all of it to bytecode")
    _compile(root / robot.prefix[1:] / "lib", target, settings, runner)
    return hollow


def _site(root: Path, target: Target, robot: Robot) -> Path:
    return root / robot.prefix[1:] / "lib" / f"python{target.python.short}" / "site-packages"


def _add_python(root: Path, robot: Robot, emulator: Emulator) -> None:
    tree, prefix = emulator.python, root / robot.prefix[1:]
    for name in ("bin", "lib"):
        shutil.copytree(tree.root / name, prefix / name, symlinks=True, dirs_exist_ok=True)
    for library in tree.root.glob("*.so.*"):
        shutil.copy2(library, prefix / "lib" / library.name)
    for link, link_target in (("python3", f"python{tree.short}"), ("python", "python3")):
        (prefix / "bin" / link).unlink(missing_ok=True)
        (prefix / "bin" / link).symlink_to(link_target)
    _write_program(prefix / "bin" / "pip", f'exec {robot.prefix}/bin/python3 -m pip "$@"')


def _add_applets(root: Path, emulator: Emulator, runner: Runner) -> None:
    busybox = root / "bin" / "busybox"
    for applet in runner.run([emulator.starter, "-L", root, busybox, "--list"]).lines:
        if not any((root / folder / applet).is_symlink() for folder in ("bin", "usr/bin")):
            (root / "bin" / applet).symlink_to("busybox")


def _add_configuration(root: Path, target: Target, robot: Robot) -> None:
    texts = {
        "passwd": "root:x:0:0:root:/root:/bin/sh\n",
        "group": "root:x:0:\n",
        "shells": "/bin/sh\n",
        "pip.conf": robot.pip_config,
        "profile": f"export PATH=/usr/sbin:/usr/bin:/sbin:/bin:{robot.programs}\n",
    }
    for name, text in texts.items():
        (root / "etc" / name).write_text(text)
    site = _site(root, target, robot)
    if target.abi.glibc:
        (site / "_manylinux.py").write_text(_MANYLINUX.format(*target.abi.glibc.split(".")))
    pip = configparser.ConfigParser()
    pip.read_string(robot.pip_config)
    user_root = pip.get("install", "root", fallback=None)
    if user_root:
        # As on the robot, what the user installs comes after what the image has.
        (site / "user-packages.pth").write_text(f"{user_root}/{site.relative_to(root)}\n")


def _add_packages(
    site: Path, target: Target, settings: Settings, tell: Callable[[str], None]
) -> dict[str, str]:
    hollow, packages = {}, target.image.packages
    tell(f"putting in the {len(packages)} packages of its image: {', '.join(packages)}")
    with Registry(settings) as registry:
        for name, version in packages.items():
            files = registry.release_files(name, version)
            fitting = _fitting(name, version, files, target)
            platform_files = [file for file in files if "linux" in file.filename]
            if fitting:
                _unpack(registry.fetch(fitting), site, compiled=True)
            elif platform_files:
                _unpack(registry.fetch(platform_files[0]), site, compiled=False)
                hollow[name] = "without its compiled parts"
            else:
                _stand_in(site, name, version)
                hollow[name] = "a stand-in"
    return hollow


def _fitting(name: str, version: str, files: list[ReleaseFile], target: Target) -> ReleaseFile | None:
    published = Recipe(name=name, file=Path("build.py"), prefer="published")
    try:
        pin = Pin(canonicalize_name(name), version, frozenset(file.sha256 for file in files))
        step = choose(pin, files, published, target)
    except PlanError:
        return None
    return step.file if step.action == "take" else None


def _unpack(path: Path, site: Path, *, compiled: bool) -> None:
    # Its hash was checked. Its own claims are not: wheels of that age are at times wrong about their tags.
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            destination, data = installed_path(member.filename), archive.read(member)
            if member.is_dir() or destination is None or (not compiled and data.startswith(b"\x7fELF")):
                continue
            (site / destination).parent.mkdir(parents=True, exist_ok=True)
            (site / destination).write_bytes(data)


def _stand_in(site: Path, name: str, version: str) -> None:
    module = canonicalize_name(name).replace("-", "_")
    (site / f"{module}.py").write_text(f'{_STAND_IN}\n__version__ = "{version}"\n')
    info = site / f"{module}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "RECORD").write_text(f"{module}.py,,\n{info.name}/METADATA,,\n{info.name}/RECORD,,\n")


def _compile(folder: Path, target: Target, settings: Settings, runner: Runner) -> None:
    """Byte-compile as the image is: on a read-only root, Python could never keep what it compiles."""
    python = host_python(target, settings).executable
    words = ["-I", "-m", "compileall", "-q", "-j", "0", "-x", "/(test|tests|lib2to3)/", str(folder)]
    runner.run([python, *words], check=False)  # some test data is wrong on purpose


def _write_program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
