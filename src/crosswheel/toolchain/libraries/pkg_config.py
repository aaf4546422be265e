"""pkg-config for builds: our own program, so that none has to be installed, which sees what its environment names.

What it must never see are this machine's own libraries: ``PKG_CONFIG_LIBDIR`` takes the place of its folders.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from crosswheel.errors import ToolchainError
from crosswheel.files import cached_texts, digest_of
from crosswheel.settings import cache_path
from crosswheel.targets import Target
from crosswheel.toolchain.compilers.programs import script


def pkg_config_folder(target: Target, cache: Path) -> Path:
    """Return a folder with ``pkg-config``, which autotools look for behind the target's GNU triple.

    Raises:
        ToolchainError: the package that has it is not installed.
    """
    program = _program()
    folder = cache_path(cache, "pkg-config") / digest_of(program=program, multiarch=target.multiarch)
    names = ("pkg-config", f"{target.multiarch}-pkg-config")
    return cached_texts(folder, dict.fromkeys(names, script([str(program)])), programs=names)


def _program() -> Path:
    spec = find_spec("pkgconf")
    if spec is None or spec.origin is None:
        raise ToolchainError(
            "pkgconf is not installed", hint="install crosswheel's requirements again: pkgconf is one."
        )
    return Path(spec.origin).parent / ".bin" / "pkgconf"
