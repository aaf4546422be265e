"""The real command in a folder of its own, with a registry, a GitHub and recipes of the test's own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from crosswheel.registry import Registry
from crosswheel.settings import Settings
from support.crossing import warm_cache
from support.projects import Files, github_zip, make_sdist
from support.registries import LocalRegistry, local_registry
from support.servers import FolderServer
from support.wheels import make_wheel

CLOSED = "http://127.0.0.1:9"  # nothing listens there
_SECONDS = 300


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    output: str

    @property
    def words(self) -> str:
        """What it printed, however it was wrapped."""
        return " ".join(self.output.split())

    def explains(self, code: int, *expected: str) -> None:
        """Assert that it ended with a code, and that it said what is expected and what to do, without a trace."""
        ours = [line for line in self.output.splitlines() if line.startswith("Traceback")]
        assert not ours, self.output  # one that a test of a recipe left is shown, indented
        assert self.returncode == code, self.output
        for words in expected:
            assert words in self.words, self.output
        assert re.search(r"what to do: \w", self.words), self.output


@dataclass
class CommandLine:
    """A folder to work in: ``packages``, ``dist``, ``build`` and ``index`` are in it."""

    folder: Path
    registry: LocalRegistry
    github: FolderServer
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def command(self) -> Path:
        """The command that was installed with crosswheel."""
        return Path(sys.executable).with_name("crosswheel")

    @property
    def cache(self) -> Path:
        return Path(self.variables["CROSSWHEEL_CACHE"])

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of the command: the user's, but for what leads out of this machine."""
        kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        return {**kept, **self.variables, **more}

    def run(self, *words: str, **more: str) -> Done:
        """Run ``crosswheel``; further variables may be given."""
        done = subprocess.run(
            [self.command, *words],
            cwd=self.folder,
            env=self.environment(**more),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
        return Done(done.returncode, done.stdout)

    def recipe(self, arguments: str = "", *, place: str = "demo/1.0", files: Files | None = None) -> Path:
        """Write a recipe, ``package_build.build_package(<arguments>)``, and files beside it."""
        folder = self.folder / "packages" / place
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in (files or {}).items():
            (folder / name).write_text(text)
        text = f"from builder import package_build\npackage_build.build_package({arguments})\n"
        (folder / "build.py").write_text(text)
        return folder / "build.py"

    def offer_sdist(
        self,
        files: Files,
        name: str = "demo",
        version: str = "1.0",
        requires: str = "",
        *,
        static: bool = True,
    ) -> Path:
        """Put an sdist on the registry; unless it is static, only its build backend tells what it requires."""
        folder = self.folder / "offered"
        sdist = make_sdist(folder, files, name=name, version=version, requires=requires, static=static)
        self.registry.add(sdist)
        return sdist

    def offer_wheel(
        self,
        name: str,
        version: str = "1.0",
        *,
        files: Mapping[str, bytes] | None = None,
        tag: str = "py3-none-any",
        requires: str = "",
    ) -> Path:
        """Put a wheel on the registry."""
        folder = self.folder / "offered"
        wheel = make_wheel(folder, name, version, files or {}, tag=tag, requires=requires.split())
        self.registry.add(wheel)
        return wheel

    def offer_real(self, name: str, version: str, kind: str = "wheel") -> None:
        """Put a file of the real registry on this one, such as a build backend."""
        with Registry(Settings.from_environment()) as real:
            files = real.release_files(name, version)
            self.registry.add(real.fetch(next(file for file in files if file.kind == kind)))

    def offer_on_github(self, files: Files) -> None:
        """Make ``github_source(org="org", repo="demo", tag="1.0")`` lead to an archive of files."""
        self.github.bodies["/org/demo/archive/refs/tags/1.0.zip"] = github_zip(files)

    def wheels(self) -> list[str]:
        """Return the names of the wheels in ``dist``, and assert that no other thing is left half-done there."""
        dist = self.folder / "dist"
        files = sorted(path for path in dist.rglob("*") if path.is_file())
        assert not [path for path in files if path.name.startswith(".")], files
        return [path.name for path in files if path.suffix == ".whl"]


@contextmanager
def command_line(folder: Path) -> Iterator[CommandLine]:
    """Give a command line with warm tools, whose registry and GitHub are on this machine, and empty."""
    (folder / "work").mkdir()
    (folder / "github").mkdir()
    cache = warm_cache(folder / "cache")
    with local_registry(folder / "registry") as registry, FolderServer(folder / "github") as github:
        variables = {
            "CROSSWHEEL_CACHE": str(cache),
            "CROSSWHEEL_GITHUB_URL": github.url,
            "CROSSWHEEL_MAVEN_URL": CLOSED,
            "UV_DEFAULT_INDEX": registry.url,
            "UV_HTTP_RETRIES": "0",
        }
        yield CommandLine(folder / "work", registry, github, variables)
