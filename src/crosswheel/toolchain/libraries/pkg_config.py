"""Provide pkg-config for builds from a package, so that none has to be installed on the system.

It must never find this machine's own libraries: ``PKG_CONFIG_LIBDIR`` replaces its default folders.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from crosswheel.cached import cached_path, cached_texts
from crosswheel.errors import ToolchainError
from crosswheel.targets import Target
from crosswheel.toolchain.compilers.programs import script


def pkg_config_folder(target: Target, cache: Path) -> Path:
    """Return a folder with ``pkg-config``, also named with the target's GNU triple, as autotools expect.

    Raises:
        ToolchainError: the package that provides it is not installed.
    """
    # It says what it does not find even to who only asks whether that exists: so a failed build tells what it lacks.
    program = script([str(_program()), "--print-errors"])
    folder = cached_path(cache, "pkg-config", {"program": program, "multiarch": target.multiarch})
    names = ("pkg-config", f"{target.multiarch}-pkg-config")
    return cached_texts(folder, dict.fromkeys(names, program), programs=names)


def _program() -> Path:
    spec = find_spec("pkgconf")
    if spec is None or spec.origin is None:
        raise ToolchainError(
            "pkgconf is not installed", hint="install crosswheel's requirements again: pkgconf is one."
        )
    return Path(spec.origin).parent / ".bin" / "pkgconf"
