"""A hostile package at every stage where code of strangers runs: hooks, setup.py, import, a recipe's test."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from platformdirs import user_state_path

from crosswheel.errors import MissingToolError
from crosswheel.sandbox.levels import find_sandbox
from crosswheel.sandbox.restrict import landlock_version
from hostile.attempts import ATTEMPTS
from hostile.test_sandbox import victim_in
from support import projects
from support.command_line import CommandLine, command_line

# At each stage this runs; what succeeds is printed. Where the stage is, the caller says.
_ATTEMPTS = """
import ctypes, os, signal, socket, struct, subprocess, sys, tempfile
PROGRAMS, VARIABLES = {programs!r}, {variables!r}
def tried(stage, name, program):
    # In a process of its own, as a program of the emulated machine cannot start another.
    own, (ours, theirs) = tempfile.mkdtemp(), os.pipe()
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(60)
            os.dup2(theirs, 1)
            os.environ.update(VARIABLES, OWN=own)
            exec(compile(program, name, "exec"), dict(__name__="attempt"))
        except BaseException:
            pass
        finally:
            os._exit(0)
    os.close(theirs)
    with open(ours, "rb") as said:
        if b"ESCAPED" in said.read():
            print("ESCAPED", stage, name, flush=True)
    os.waitpid(child, 0)
def attempt(stage, name, work):
    try:
        if work():
            print("ESCAPED", stage, name, flush=True)
    except (OSError, ValueError):
        pass
def attempts(stage):
    secret, dist, cache, key = {secret!r}, {dist!r}, {cache!r}, {key!r}
    def read(path):
        with open(path, "rb") as stream:
            return stream.read(1)
    def write(path):
        with open(path, "ab") as stream:
            stream.write(b"x")
        return True
    def mode(path):
        os.chmod(path, 0o777)
        return True
    def tools():
        folder = os.path.join(cache, "tools")
        for name in os.listdir(folder):
            write(os.path.join(folder, name, "cc"))
        return True
    print("RAN", stage, flush=True)
    attempt(stage, "reads a file of the user", lambda: read(secret))
    attempt(stage, "changes a file of the user", lambda: write(secret))
    attempt(stage, "changes its mode", lambda: mode(secret))
    attempt(stage, "lists a folder of the user", lambda: os.listdir(os.path.dirname(secret)))
    attempt(stage, "forges a wheel in dist", lambda: write(os.path.join(dist, "forged.whl")))
    attempt(stage, "writes to the cache", lambda: write(os.path.join(cache, "forged")))
    attempt(stage, "forges a kept wheel", lambda: os.makedirs(os.path.join(cache, "made", "forged")) or True)
    attempt(stage, "reads the key that seals the cache", lambda: read(key))
    attempt(stage, "changes a compiler", tools)
    attempt(stage, "reaches a port", lambda: socket.create_connection(("127.0.0.1", {port}), 2))
    attempt(stage, "sees a secret in its environment", lambda: "TOKEN" in os.environ)
    attempt(stage, "sees a secret of its parents", lambda: any(
        b"TOKEN=" in open("/proc/%s/environ" % name, "rb").read()
        for name in os.listdir("/proc") if name.isdigit() and readable(name)))
    for name, program in PROGRAMS.items():
        tried(stage, name, program)
    print("TRIED", len(PROGRAMS) + 12, stage, flush=True)
def readable(name):
    try:
        return bool(open("/proc/%s/environ" % name, "rb").read(1))
    except OSError:
        return False
"""


@pytest.fixture(scope="module", params=["namespaces", "landlock"])
def level(request: pytest.FixtureRequest) -> str:
    try:
        return find_sandbox(request.param).level
    except MissingToolError as error:
        pytest.skip(str(error))


@pytest.fixture
def crosswheel(tmp_path: Path) -> Iterator[CommandLine]:
    with command_line(tmp_path) as line:
        line.offer_real("setuptools", "75.8.0")
        yield line


# What these use up is limited for each package, not for all; tests/hostile/test_sandbox.py tries them with low limits.
_LIMITED = (
    "writes a file larger than it may",
    "takes more memory than it may",
    "starts processes without end",
)


def programs_for(level: str) -> dict[str, str]:
    """Return what is tried at each stage at a level of the sandbox: never without one, as it would do harm."""
    programs = {name: program for name, program in ATTEMPTS.items() if name not in _LIMITED}
    if level == "landlock" and landlock_version() < 6:
        del programs["ends another process"]  # Landlock knows signals since Linux 6.12
    return programs


@pytest.fixture
def hostile(crosswheel: CommandLine, tmp_path: Path) -> Iterator[Callable[[str | None], str]]:
    """Return what a hostile package runs at a level of the sandbox, or without one."""
    secret = tmp_path / "home" / "id_ed25519"
    secret.parent.mkdir()
    with victim_in(secret.parent) as victim:
        secret.chmod(0o600)
        yield lambda level: _ATTEMPTS.format(
            programs=programs_for(level) if level else {},
            variables={**victim.variables, "LEVEL": level or "none"},
            secret=str(secret),
            dist=str(crosswheel.folder / "dist"),
            cache=str(crosswheel.cache),
            key=str(user_state_path("crosswheel") / "cache.key"),
            port=int(victim.variables["PORT"]),
        )


def offer(crosswheel: CommandLine, hostile: str) -> None:
    """Put a package on the registry that tries all at each stage, and works otherwise."""
    hooks = """
        from setuptools import build_meta as _setuptools
        def get_requires_for_build_wheel(settings=None):
            attempts("the hook that tells requirements")
            return []
        def build_wheel(folder, settings=None, metadata=None):
            attempts("the hook that builds")
            return _setuptools.build_wheel(folder, settings, metadata)
    """
    files = {
        "pyproject.toml": projects.pyproject(projects.SETUPTOOLS, backend="hooks").replace(
            "build-backend", 'backend-path = ["."]\nbuild-backend'
        ),
        "hooks.py": hostile + textwrap.dedent(hooks),
        "setup.py": hostile + "attempts('setup.py')\n" + projects.setup_py(more=", packages=['bad']"),
        "demo.c": projects.C_SOURCE,
        "bad/__init__.py": hostile + "attempts('import')\n",
    }
    crosswheel.offer_sdist(files)


def test_a_hostile_package_reaches_nothing_at_any_stage(
    crosswheel: CommandLine, hostile: Callable[[str | None], str], level: str
) -> None:
    offer(crosswheel, hostile(level))
    test = {"test_bad.py": hostile(level) + "attempts('a test')\n"}
    crosswheel.recipe("tests=['test_bad.py']", place="demo", files=test)
    words = ("build", "demo", "--as-of", "2024-12-31", "--sandbox", level)
    result = crosswheel.run(*words, TOKEN="a secret")
    log = "\n".join(path.read_text() for path in crosswheel.folder.glob("build/**/build.log"))
    assert result.returncode == 0, result.output + log
    ran = {line.partition("RAN ")[2] for line in log.splitlines() if "RAN " in line}
    stages = {"the hook that tells requirements", "the hook that builds", "setup.py", "import", "a test"}
    assert stages <= ran, ran
    tried = dict(
        reversed(line.partition("TRIED ")[2].split(" ", 1)) for line in log.splitlines() if "TRIED " in line
    )
    assert stages <= tried.keys(), tried
    assert min(map(int, tried.values())) >= 25
    assert "ESCAPED" not in log, [line for line in log.splitlines() if "ESCAPED" in line]
    assert not (crosswheel.folder / "dist" / "forged.whl").exists()
    secret = crosswheel.folder.parent / "home" / "id_ed25519"
    assert (secret.read_text(), secret.stat().st_mode & 0o777) == ("a secret", 0o600)


def test_the_same_package_reaches_all_of_it_without_a_sandbox(
    crosswheel: CommandLine, hostile: Callable[[str | None], str]
) -> None:
    offer(crosswheel, hostile(None))
    crosswheel.run("build", "demo", "--as-of", "2024-12-31", "--sandbox", "none")
    log = "\n".join(path.read_text() for path in crosswheel.folder.glob("build/**/build.log"))
    names = ("reads a file of the user", "writes to the cache", "changes a compiler", "reaches a port")
    for name in (*names, "reads the key that seals the cache"):
        assert f"ESCAPED setup.py {name}" in log, log
