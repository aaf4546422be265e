"""Define the interface of a target's compilers for the rest of the toolchain."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crosswheel.cached import cached_path, cached_texts
from crosswheel.process import Runner, Word, this_python
from crosswheel.sandbox.view import View, cache_paths
from crosswheel.toolchain.compilers import link_map

_GNU = {"cc": "gcc", "c++": "g++"}
DRIVER = Path(__file__).with_name("driver.py")


@dataclass(frozen=True)
class Compilers:
    """A folder of programs that compile for a target; each is called without additional options.

    Attributes:
        folder: ``cc c++ ar ranlib objcopy`` compile for the target, as do the same names with the target's GNU triple
            as a prefix; ``host-cc`` and ``host-c++`` compile for this machine, for build scripts that run here.
        identity: identifies their output: independent of the folder's path, and different if the output may change.
        versions: their versions by name, for proofs.
        environment: the variables that they need.
        home: the folder of the underlying compiler, with headers of its own.
        cxx_runtime: the option that links the C++ runtime library into a program in C.
    """

    folder: Path
    identity: str
    versions: Mapping[str, str]
    environment: Mapping[str, str]
    cxx_runtime: str = "-Wl,--no-as-needed,-lstdc++,--as-needed"
    home: Path | None = None

    @property
    def programs(self) -> Mapping[str, str]:
        """The programs by the variables with which build systems find them."""
        names = {"CC": "cc", "CXX": "c++", "AR": "ar", "RANLIB": "ranlib"}
        return {variable: str(self.folder / name) for variable, name in names.items()}

    @property
    def variables(self) -> Mapping[str, str]:
        """All variables that a build with these compilers needs."""
        return {**self.environment, **self.programs}

    def view(self, cache: Path, writable: Sequence[Path] = ()) -> View:
        """Return the files that the programs see; their shared files in the cache stay unchanged."""
        kept = [Path(folder) for folder in set(self.environment.values()) if Path(folder).is_dir()]
        return View((*cache_paths(cache), *((self.home,) if self.home else ())), tuple(writable), tuple(kept))

    def run(
        self, words: Sequence[Word], runner: Runner, *, cwd: Path | None = None, stdin: Path | None = None
    ) -> None:
        """Run one of the programs, named by the first word."""
        env = {**os.environ, **self.environment}
        runner.run([self.folder / words[0], *words[1:]], env=env, cwd=cwd, stdin=stdin)


# What a wheel is not made of lies in folders that are called so.
_ASIDE = ("test", "doc", "example", "bench")


def has_sources(tree: Path, suffixes: tuple[str, ...]) -> bool:
    """Return whether a tree has files with one of these suffixes, beside tests, examples and documents."""
    for _, folders, files in os.walk(tree):
        folders[:] = [name for name in folders if not name.lower().startswith(_ASIDE)]
        if any(name.lower().endswith(suffixes) for name in files):
            return True
    return False


def driver_text() -> str:
    """Return the source text of the driver, which identifies the output of compilers called through it."""
    return DRIVER.read_text() + Path(link_map.__file__).read_text()


def driver(*front: str) -> list[str]:
    """Return the command prefix that calls a compiler through the driver."""
    return [this_python(), "-ISs", str(DRIVER), *front, "--"]


def script(words: Sequence[str]) -> str:
    """Return a shell script that runs ``words`` followed by its own arguments."""
    # sh, because the kernel limits the length of a `#!` line; exec, so that signals reach the compiler.
    return f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n'


def tools_folder(programs: Mapping[str, str], host: Mapping[str, str], multiarch: str, cache: Path) -> Path:
    """Return a folder of programs, given by name and text; the target's also with its GNU triple as a prefix.

    ``gcc`` and ``g++`` are the target's compilers as well: Makefiles name them, and would find this machine's.
    """
    gnu = {_GNU.get(name, name): text for name, text in programs.items()}
    every = {**programs, **gnu, **{f"{multiarch}-{name}": text for name, text in gnu.items()}, **host}
    return cached_texts(cached_path(cache, "tools", {"programs": every}), every, programs=every)


def merge_archives(parts: Sequence[Path], merged: Path, compilers: Compilers, runner: Runner) -> None:
    """Write one static archive with the members of several; ``merged`` may be one of them."""
    # Use an MRI script, which every archiver understands (`q` with `L` is newer than many an SDK), with short names,
    # because a script cannot quote. Extracting the members instead would lose one of two with the same name.
    with tempfile.TemporaryDirectory(prefix="merge", dir=merged.parent) as name:
        folder = Path(name)
        for number, part in enumerate(parts):
            (folder / f"{number}.a").symlink_to(part.resolve())
        added = "".join(f"addlib {number}.a\n" for number in range(len(parts)))
        (folder / "script").write_text(f"create merged.a\n{added}save\nend\n")
        compilers.run(["ar", "-M"], runner, cwd=folder, stdin=folder / "script")
        (folder / "merged.a").replace(merged)
