"""Provide the Python of a distribution: the contents of its packages, next to the libraries that it loads."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from crosswheel.cached import CachedFolder
from crosswheel.debian import Debian
from crosswheel.errors import TargetError
from crosswheel.process import Runner
from crosswheel.settings import Settings
from crosswheel.targets import Target
from crosswheel.toolchain.python.tree import PythonTree


def packaged_python(target: Target, settings: Settings, runner: Runner) -> PythonTree:
    """Return the Python of the target's distribution; download it if needed.

    Raises:
        MissingToolError, NetworkError: its packages are not available.
        TargetError: they have no such Python.
    """
    kept = _kept(target, settings)
    debian = Debian(target.toolchain.debian, settings, runner, suite=target.toolchain.suite)

    def fill(temporary: Path) -> None:
        unpacked, short = temporary / "unpacked", target.python.short
        packages = [f"python{short}-minimal", f"libpython{short}-minimal", f"libpython{short}-stdlib"]
        named = [*packages, f"libpython{short}-dev"]
        libraries = [name for name in debian.shared_libraries(packages) if name not in named]
        debian.unpack([*named, *libraries], unpacked)
        _arrange(unpacked, PythonTree(temporary, short), target)
        shutil.rmtree(unpacked)

    return PythonTree(kept.make(fill), target.python.short)


def has_packaged(target: Target, settings: Settings) -> bool:
    """Return whether the cache has it."""
    return _kept(target, settings).is_whole


def _kept(target: Target, settings: Settings) -> CachedFolder:
    short, names = target.python.short, target.toolchain
    config, data = f"include/python{short}/pyconfig.h", f"lib/python{short}/{target.python.sysconfigdata}.py"
    name, holds = (
        f"{names.suite}-{names.debian}-{target.python.version}",
        [f"bin/python{short}", config, data],
    )
    return CachedFolder.of(settings.cache, "python", name, holds)


def _arrange(unpacked: Path, tree: PythonTree, target: Target) -> None:
    """Move a Python's files out of a distribution's folders; the libraries that it loads lie at the top."""
    usr, short = unpacked / "usr", tree.short
    program = usr / "bin" / f"python{short}"
    if not program.is_file():
        raise TargetError(
            f"the packages of {target.toolchain.suite} have no Python {short}",
            hint="correct `version` in the target file, or `suite`.",
        )
    tree.executable.parent.mkdir(parents=True)
    program.rename(tree.executable)
    shutil.copytree(usr / "lib" / f"python{short}", tree.stdlib, symlinks=True)
    data = tree.stdlib / f"{target.python.sysconfigdata}.py"
    second_names = [path for path in tree.stdlib.glob("_sysconfigdata_*.py") if path != data]
    if not data.is_file() or data.is_symlink():
        text = second_names[0].read_text()
        data.unlink(missing_ok=True)
        data.write_text(text)
    for path in second_names:
        path.unlink()
    shutil.copytree(usr / "include" / f"python{short}", tree.include, symlinks=True)
    # The architecture-independent header includes that of each architecture.
    shutil.copyfile(
        usr / "include" / target.multiarch / f"python{short}" / "pyconfig.h", tree.include / "pyconfig.h"
    )
    _gather(unpacked, tree.root, target.multiarch)


def _gather(unpacked: Path, folder: Path, multiarch: str) -> None:
    libraries: Iterable[Path] = (
        path for top in ("lib", "usr/lib") for path in sorted((unpacked / top / multiarch).glob("*.so*"))
    )
    for path in libraries:
        if path.is_symlink() and not path.exists():
            continue  # it leads out of the unpacked files
        shutil.copyfile(path, folder / path.name)
