"""The compilers for a target, whatever they are: what the rest of the toolchain knows of them."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crosswheel.files import cached_texts, digest_of
from crosswheel.process import Runner, Word, this_python
from crosswheel.sandbox.view import View, cache_paths
from crosswheel.settings import cache_path
from crosswheel.toolchain.compilers import link_map

DRIVER = Path(__file__).with_name("driver.py")


@dataclass(frozen=True)
class Compilers:
    """A folder of programs that compile for a target, each called without arguments of its own.

    Attributes:
        folder: ``cc c++ ar ranlib objcopy`` compile for the target, and so do the same names behind the target's GNU
            triple; ``host-cc`` and ``host-c++`` compile for this machine, for build scripts that run here.
        identity: names what they make: the same wherever the folder lies, another when their output may change.
        versions: what they are, by name, for proofs.
        environment: variables that they need.
        home: where what they call lies, with headers of its own.
        cxx_runtime: the option by which what is written in C is linked with the runtime library of C++.
    """

    folder: Path
    identity: str
    versions: Mapping[str, str]
    environment: Mapping[str, str]
    cxx_runtime: str = "-Wl,--no-as-needed,-lstdc++,--as-needed"
    home: Path | None = None

    @property
    def programs(self) -> Mapping[str, str]:
        """The programs by the variables in which build systems look for them."""
        names = {"CC": "cc", "CXX": "c++", "AR": "ar", "RANLIB": "ranlib"}
        return {variable: str(self.folder / name) for variable, name in names.items()}

    @property
    def variables(self) -> Mapping[str, str]:
        """All variables that a build with them needs."""
        return {**self.environment, **self.programs}

    def view(self, cache: Path, writable: Sequence[Path] = ()) -> View:
        """Return what the programs see; what they keep in the cache for each other stays as it is."""
        kept = [Path(folder) for folder in set(self.environment.values()) if Path(folder).is_dir()]
        return View((*cache_paths(cache), *((self.home,) if self.home else ())), tuple(writable), tuple(kept))

    def run(
        self,
        words: Sequence[Word],
        runner: Runner,
        *,
        cwd: Path | None = None,
        stdin: Path | None = None,
    ) -> None:
        """Run one of the programs, which is the first word."""
        env = {**os.environ, **self.environment}
        runner.run([self.folder / words[0], *words[1:]], env=env, cwd=cwd, stdin=stdin)


def driver_text() -> str:
    """Return all that the driver does, as text, to name what compilers make that are called through it."""
    return DRIVER.read_text() + Path(link_map.__file__).read_text()


def driver(*front: str) -> list[str]:
    """Return the words that call a compiler through the driver, its arguments following."""
    return [this_python(), "-ISs", str(DRIVER), *front, "--"]


def script(words: Sequence[str]) -> str:
    """Return a program that runs ``words`` with its own arguments behind."""
    # sh, because the kernel limits the length of a `#!` line; exec, so that signals reach the compiler.
    return f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n'


def tools_folder(programs: Mapping[str, str], host: Mapping[str, str], multiarch: str, cache: Path) -> Path:
    """Return a folder of programs, given by name and text; those for the target also behind its GNU triple."""
    gnu = {"cc": "gcc", "c++": "g++"}
    named = {f"{multiarch}-{gnu.get(name, name)}": text for name, text in programs.items()}
    every = {**programs, **named, **host}
    return cached_texts(cache_path(cache, "tools") / digest_of(programs=every), every, programs=every)


def merge_archives(parts: Sequence[Path], merged: Path, compilers: Compilers, runner: Runner) -> None:
    """Write one static archive with the members of several; ``merged`` may be one of them."""
    # A script, as every archiver understands them (`q` with `L` is newer than many an SDK); short names, as a script
    # cannot quote one; and nothing is lost, as it would be by unpacking, where two members have the same name.
    with tempfile.TemporaryDirectory(prefix="merge", dir=merged.parent) as name:
        folder = Path(name)
        for number, part in enumerate(parts):
            (folder / f"{number}.a").symlink_to(part.resolve())
        added = "".join(f"addlib {number}.a\n" for number in range(len(parts)))
        (folder / "script").write_text(f"create merged.a\n{added}save\nend\n")
        compilers.run(["ar", "-M"], runner, cwd=folder, stdin=folder / "script")
        (folder / "merged.a").replace(merged)
