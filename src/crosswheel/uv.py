"""uv, which resolves and installs: the few calls that crosswheel makes of it."""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from uv import find_uv_bin

from crosswheel.errors import NetworkError
from crosswheel.process import Result, Runner, Word, tail
from crosswheel.settings import Settings

# How uv begins to tell of a registry that it could not ask; a name or version in its answer must not look like it.
_UNREACHABLE = re.compile(r"Failed to fetch: |Request failed after |the network was disabled")


@dataclass(frozen=True)
class Uv:
    """uv with a cache below crosswheel's own, and the user's registry."""

    settings: Settings
    runner: Runner

    def compile(
        self,
        requirements: Path,
        output: Path,
        *,
        python: Path,
        as_of: datetime.date | None,
        universal: bool = False,
        upgrade: bool = True,
        annotate: bool = True,
    ) -> Result:
        """Resolve requirements to exact versions with hashes; the result's exit code says whether it worked.

        Args:
            requirements: a requirements file.
            output: where the resolved requirements go; versions in it are kept unless ``upgrade``.
            python: the interpreter that is asked for tags and markers.
            as_of: ignore what was published after this day (UTC).
            universal: for every platform instead of the interpreter's own.
            annotate: say by comments which package wants which.
        """
        words: list[Word] = [
            "pip",
            "compile",
            "--quiet",
            "--no-header",
            "--generate-hashes",
            "--python",
            python,
        ]
        words += [requirements, "--output-file", output]
        words += ["--exclude-newer", end_of(as_of)] if as_of else []
        words += ["--universal"] if universal else []
        words += ["--upgrade"] if upgrade else []
        words += [] if annotate else ["--no-annotate"]
        return self._run(words, check=False)

    def venv(self, folder: Path, *, python: Path) -> None:
        """Make an empty virtual environment."""
        self._run(["venv", "--quiet", "--no-project", "--clear", "--python", python, folder])

    def install_locked(self, requirements: Path, *, python: Path) -> None:
        """Install what a requirements file with hashes names, and nothing else."""
        self._run(
            [
                "pip",
                "install",
                "--quiet",
                "--require-hashes",
                "--no-deps",
                "--python",
                python,
                "-r",
                requirements,
            ]
        )

    def install_wheel(self, wheel: Path, folder: Path, *, python: Path, compiled: bool = True) -> None:
        """Install one wheel, without what it requires, into a folder; byte-compiled, if not told otherwise."""
        words: list[Word] = ["pip", "install", "--quiet", "--no-deps", "--no-index", "--python", python]
        words += ["--compile-bytecode"] if compiled else []
        self._run([*words, "--target", folder, wheel])

    def _run(self, words: Sequence[Word], *, check: bool = True) -> Result:
        return self.runner.run([find_uv_bin(), *words], env=self._environment(), check=check)

    def _environment(self) -> Mapping[str, str]:
        env = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
        env["UV_CACHE_DIR"] = str(self.settings.cache / "uv")
        env["UV_NO_CONFIG"] = "1"  # a project around the checkout must not take part
        env["UV_PYTHON_DOWNLOADS"] = "never"
        if self.settings.registry:
            env["UV_DEFAULT_INDEX"] = self.settings.registry
        if self.settings.offline:
            env["UV_OFFLINE"] = "1"
        return env


def require_reached(result: Result, asked: str) -> None:
    """Raise :class:`NetworkError` if uv failed because it could not reach the registry.

    Args:
        asked: what it was asked about, for people.
    """
    if result.returncode != 0 and _UNREACHABLE.search(result.output):
        raise NetworkError(
            f"the registry could not be asked about {asked}:\n{tail(result.output, 20)}",
            hint="check the network and proxy settings; UV_DEFAULT_INDEX names another registry.",
        )


def end_of(day: datetime.date) -> str:
    """Return the moment a day ends, in UTC, so that a lock does not depend on the time zone it is made in."""
    return f"{day + datetime.timedelta(days=1):%Y-%m-%d}T00:00:00Z"
