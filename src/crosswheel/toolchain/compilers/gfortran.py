"""The Fortran compiler that build systems see: gfortran makes object files, the target's C compiler links them.

Run as a script, once per compiler call. The tools that :mod:`crosswheel.toolchain.compilers.fortran` writes
call it as::

    python -ISs gfortran.py GFORTRAN CPU BINUTILS LIBRARIES RUNTIME CC ARGUMENT...

``BINUTILS`` is the front of the path of GFORTRAN's assembler, ``LIBRARIES`` a folder of shared libraries that both
need, ``RUNTIME`` the folder of the Fortran runtime library. Environment: see
:mod:`crosswheel.toolchain.compilers.driver`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))  # isolated, Python does not look there by itself

from crosswheel.toolchain.compilers.driver import LINKER, expanded, prefix_map, translate

SOURCES = (".f", ".for", ".ftn", ".fpp", ".f77", ".f90", ".f95", ".f03", ".f08")
_NOT_LINKING = ("-c", "-S", "-E", "-M", "-MM", "-fsyntax-only")
# Options whose value is a word of its own, and those of them that are for the linker.
_FOR_LINKER = ("-o", "-L", "-l", "-Xlinker", "-z", "-u", "-T")
_WITH_VALUE = (*_FOR_LINKER, "-I", "-J", "-D", "-U", "-x", "-include", "-isystem", "-MF", "-MT", "-MQ", "-B")
_LINKER_PREFIXES = ("-L", "-l", "-Wl,")
_LINKER_WORDS = (
    "-shared", "-static", "-rdynamic", "-pthread", "-pie", "-no-pie", "-nostdlib", "-nodefaultlibs", "-nostartfiles",
    "-s", "-r", "-v", "-fPIC", "-fpic", "-fPIE",
)  # fmt: skip


@dataclass(frozen=True)
class Split:
    """The arguments of a call: sources in Fortran, what compiles them, and what the linker gets, sources included."""

    sources: list[str]
    compiling: list[str]
    linking: list[str]

    @property
    def links(self) -> bool:
        """Whether something is to be linked: not where there is only a question, such as ``--version``."""
        inputs = [word for word in self.linking if not word.startswith("-")]
        return bool(inputs) and not any(word in _NOT_LINKING for word in self.compiling)


def split(words: list[str]) -> Split:
    """Tell apart what is for the compiler and what is for the linker."""
    parts = Split([], [], [])
    following = iter(words)
    for word in following:
        if word in _WITH_VALUE:
            group = parts.linking if word in _FOR_LINKER else parts.compiling
            group.extend((word, next(following, "")))
        elif not word.startswith("-"):
            parts.linking.append(word)
            if word.lower().endswith(SOURCES):
                parts.sources.append(word)
        elif word.startswith(_LINKER_PREFIXES) or word in _LINKER_WORDS:
            parts.linking.append(word)
            parts.compiling.extend([word] if word.startswith("-f") else [])
        else:
            parts.compiling.append(word)
    return parts


def _link(compile_: list[str], cc: str, runtime: str, parts: Split, env: dict[str, str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        objects = {}
        for number, source in enumerate(parts.sources):
            objects[source] = f"{folder}/{number}.o"
            words = translate([*parts.compiling, "-c", source, "-o", objects[source]], "cc", "gcc")[1]
            status = subprocess.run([*compile_, *words], env=env, check=False).returncode
            if status != 0:
                return status
        linking = [objects.get(word, word) for word in parts.linking]
        return subprocess.run([cc, *linking, f"-L{runtime}", "-lgfortran", "-lm"], check=False).returncode


def main(arguments: list[str]) -> None:
    """Compile with gfortran, link with the C compiler, or do both."""
    gfortran, cpu, binutils, libraries, runtime, cc, *command = arguments
    if "-Wl,--version" in command:
        print(LINKER)
        return
    words = expanded(command)
    env = {**os.environ, "LD_LIBRARY_PATH": libraries}
    compile_ = [
        gfortran,
        f"-B{binutils}",
        *([f"-mcpu={cpu}"] if cpu else []),
        *prefix_map("-ffile-prefix-map"),
    ]
    parts = split(words)
    if parts.links:
        sys.exit(_link(compile_, cc, runtime, parts, env))
    if any(word in _NOT_LINKING for word in words):
        words = translate(words, "cc", "gcc")[1]
    # What comes from standard input has no ending to know it by.
    language = ["-x", "f95-cpp-input"] if "-" in words and "-x" not in words else []
    os.execve(gfortran, [*compile_, *language, *words], env)


if __name__ == "__main__":
    main(sys.argv[1:])
