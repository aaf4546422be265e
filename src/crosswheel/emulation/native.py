"""Start a target's programs on this machine's own CPU, where that runs them: no emulator is needed then.

An aarch64 CPU may run 32-bit ARM code, and one of x86-64 that of i686. Whether this one does depends on the CPU and on
how its kernel was built, and only trying tells. What starts a program is the target's own dynamic loader.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from crosswheel.process import Runner, Word, this_python
from crosswheel.sandbox.levels import Sandbox
from crosswheel.sandbox.view import View
from crosswheel.targets import Target
from crosswheel.userlands import Userland
from crosswheel.userlands.library_lookup import libraries

_PROBE = Path(__file__).with_name("native_probe.py")
_PROBE_SECONDS = 60
# By machine: what a program's header has as its CPU (e_machine, elf(5)), if the machine may run it: that of i686 and of
# x86-64, and of ARM with 32 and with 64 bits.
_CODE = {"x86_64": (b"\x03\x00", b"\x3e\x00"), "aarch64": (b"\x28\x00", b"\xb7\x00")}
UNAME = "CROSSWHEEL_UNAME"
"""The environment variable that tells the target's Python which kernel release and machine it is to see."""


@dataclass(frozen=True)
class NativeLoader:
    """The target's dynamic loader, which this machine's CPU runs.

    Attributes:
        path: the program.
        folders: where it looks for libraries before it looks where this machine has its own.
        uname: the kernel release and the machine that the target's Python sees, with a blank between.
    """

    path: Path
    folders: tuple[Path, ...]
    uname: str

    def words(self, first: Iterable[Path] = ()) -> list[str]:
        """Return the command prefix that starts a program; it looks into the ``first`` folders before others."""
        folders = os.pathsep.join(map(str, (*first, *self.folders)))
        # Musl's loader has no cache of libraries, nor the option to pass over it.
        without_cache = [] if self.path.name.startswith("ld-musl-") else ["--inhibit-cache"]
        return [str(self.path), *without_cache, "--library-path", folders]


def native_loader(
    target: Target, root: Path, learned: Userland | None, sandbox: Sandbox, runner: Runner
) -> NativeLoader | None:
    """Return the loader of a target if this machine runs it; ``None`` if an emulator has to.

    Args:
        root: the folder that holds the target's libraries like its own root.
        learned: the target's own userland, if that is there.
    """
    if target.loader is None:
        return None
    name = Path(target.loader).name
    path = learned.path(target.loader) if learned else _unpacked(root, name, target.multiarch)
    if path is None or not path.is_file() or not runs_here(path, sandbox, runner):
        return None
    return NativeLoader(path, tuple(_folders(target, root, learned)), f"{target.kernel} {target.machine}")


def _unpacked(root: Path, name: str, multiarch: str) -> Path | None:
    """Return a loader among unpacked packages; a link in them may be absolute, and lead to this machine's own."""
    found = (*root.glob(f"lib/{multiarch}/{name}"), *root.glob(f"lib*/{name}"))
    return next((path for path in found if path.resolve().is_relative_to(root.resolve())), None)


def _folders(target: Target, root: Path, learned: Userland | None) -> Iterable[Path]:
    if learned:
        assert target.loader is not None
        found = libraries(learned, target.loader).values()
        return dict.fromkeys((learned.root / path[1:]).parent for path in found)
    places = (
        f"lib/{target.multiarch}",
        f"usr/lib/{target.multiarch}",
        "lib",
        "usr/lib",
        "lib64",
        "usr/lib64",
    )
    return [root / place for place in places if (root / place).is_dir()]


def runs_here(loader: Path, sandbox: Sandbox, runner: Runner) -> bool:
    """Return whether this machine's CPU runs a dynamic loader, and no emulator that the kernel knows (binfmt_misc).

    It is tried in the sandbox, for the loader may be that of a stranger's machine.
    """
    with loader.open("rb") as program:
        if program.read(20)[18:] not in _CODE.get(os.uname().machine, ()):
            return False
    with tempfile.TemporaryDirectory(prefix="crosswheel.") as name:
        view = View((loader, loader.resolve()), (Path(name),))
        words: list[Word] = [this_python(), "-ISs", _PROBE, loader]
        tried = sandbox.run(
            runner, words, view, cwd=Path(name), env={"PATH": os.defpath}, timeout=_PROBE_SECONDS
        )
    return "runs" in tried.lines
