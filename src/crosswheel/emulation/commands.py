"""Run a project's own test command, in which ``python`` and the installed programs are the emulated target's.

The shell is this machine's. The programs are shell scripts that start the emulator, so that the target's Python can
start itself and others as well, without any support by the kernel.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from crosswheel.check.fault import Fault
from crosswheel.emulation.trials import Trial, ending
from crosswheel.errors import AllowanceSpent, BuildFailed
from crosswheel.process import tail

_LIMIT = 3600.0


@dataclass(frozen=True)
class TestCommand:
    """A test command, and the source of the project that it is of.

    Attributes:
        text: for the shell; ``{project}`` and ``{package}`` stand for the folder of the source, ``{wheel}`` for the
            wheel.
        source: that folder.
        copied: files and folders of the source that are where the command runs.
        variables: the environment's, beside those of every run.
    """

    text: str
    source: Path
    copied: Sequence[str] = ()
    variables: tuple[tuple[str, str], ...] = ()

    def run(self, trial: Trial, wheel: Path) -> list[Fault]:
        """Run the command in an empty folder; return a fault if it fails.

        Raises:
            BuildFailed: what it is to find in its folder is not in the source.
        """
        programs, folder = _programs(trial), trial.scratch / "command"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in self.copied:
            _copy(self.source, name, folder)
        view = trial.emulator.view
        readable = (*view.readable, *trial.sites, self.source, wheel)
        try:
            result = trial.emulator.sandbox.run(
                trial.runner,
                ["sh", "-c", self._filled(wheel), "test-command"],
                replace(view, readable=readable, writable=(trial.scratch, self.source)),
                cwd=folder,
                env={
                    "HOME": str(folder),
                    "LC_ALL": "C.UTF-8",
                    **dict(self.variables),
                    "PATH": os.pathsep.join([str(programs), os.defpath]),
                },
                timeout=_LIMIT,
            )
        except AllowanceSpent:
            raise
        except BuildFailed as error:
            return [Fault(wheel.name, f"its test command does not end: {error}", "read the log")]
        if result.returncode == 0:
            return []
        return [
            Fault(
                wheel.name,
                f"its test command fails on the target ({ending(result)}): {self.text}\n{tail(result.output, 12)}",
                "where a test is not for this machine, leave it out by test-skip, or in the command; it has no network",
            )
        ]

    def _filled(self, wheel: Path) -> str:
        names = {"{project}": self.source, "{package}": self.source, "{wheel}": wheel}
        text = self.text
        for name, path in names.items():
            text = text.replace(name, str(path))
        return text


def _copy(source: Path, name: str, folder: Path) -> None:
    path = source / name
    if path.is_dir():
        shutil.copytree(path, folder / name, symlinks=True)
    elif path.is_file():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / name)
    else:
        raise BuildFailed(
            f"the source has no {name}, which its tests are to find",
            hint="correct test-sources in its settings.",
        )


def _programs(trial: Trial) -> Path:
    """Return a folder of programs that start the target's Python, and with it the programs of the installed wheels."""
    folder = trial.scratch / "programs"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    python = folder / "python"
    start = shlex.join(trial.command(executable=python))
    short = trial.emulator.python.short
    _write(python, start)
    for name in ("python3", f"python{short}"):
        (folder / name).symlink_to("python")
    for script in sorted((trial.prefix / "bin").glob("*")):
        if _is_script(script) and not (folder / script.name).exists():
            _write(folder / script.name, f"{start} {shlex.quote(str(script))}")
    return folder


def _write(path: Path, command: str) -> None:
    path.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    path.chmod(0o755)


def _is_script(path: Path) -> bool:
    with path.open("rb") as stream:
        return b"python" in stream.readline() if stream.read(2) == b"#!" else False
