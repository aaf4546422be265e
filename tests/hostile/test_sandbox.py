"""Hostile programs in the sandbox, at each of its levels."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from crosswheel.errors import MissingToolError
from crosswheel.process import Result, Runner
from crosswheel.sandbox.levels import Level, Sandbox, find_sandbox
from crosswheel.sandbox.restrict import landlock_version
from crosswheel.sandbox.view import Limits, View, cache_paths
from hostile.attempts import ATTEMPTS
from support.processes import lifeline

LIMITS = Limits(memory=512 << 20, file_size=64 << 20, processes=400)


@dataclass(frozen=True)
class Victim:
    """What is to be protected, and the variables that lead to it."""

    secret: Path
    variables: dict[str, str]

    @property
    def state(self) -> object:
        status = self.secret.stat()
        folder = sorted(path.name for path in self.secret.parent.iterdir())
        return self.secret.read_text(), status.st_mode, status.st_ino, folder


@contextlib.contextmanager
def victim_in(folder: Path) -> Iterator[Victim]:
    """Give a file with a secret, and what listens and runs as the same user."""
    secret = folder / "id_ed25519"
    secret.write_text("a secret")
    address = str(folder / "socket")
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        for name in (address, f"\0{address}"):
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(name)
            listener.listen()
        other = subprocess.Popen(["sleep", "600"], env={"TOKEN": "a secret", "PATH": os.defpath})
        stack.callback(other.wait)
        stack.callback(other.kill)
        yield Victim(
            secret,
            {
                "SECRET": str(secret),
                "FOLDER": str(folder),
                "PARENT": str(other.pid),
                "PORT": str(server.getsockname()[1]),
                "SOCKET": address,
            },
        )
        assert other.poll() is None, "the other process was ended"


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    with victim_in(tmp_path_factory.mktemp("victim")) as made:
        yield made


@pytest.fixture(scope="module", params=["namespaces", "landlock"])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    level: Level = request.param
    try:
        return find_sandbox(level)
    except MissingToolError as error:
        pytest.skip(str(error))


def run(sandbox: Sandbox, program: str, own: Path, variables: dict[str, str]) -> Result:
    view = View(writable=(own,), limits=LIMITS)
    env = {"PATH": os.defpath, "OWN": str(own), "LEVEL": sandbox.level, **variables}
    return sandbox.run(Runner(), [sys.executable, "-I", "-c", program], view, cwd=own, env=env, timeout=120)


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_a_hostile_program_fails(attempt: str, sandbox: Sandbox, victim: Victim, tmp_path: Path) -> None:
    if attempt == "starts processes without end" and os.geteuid() == 0:
        pytest.skip("the kernel passes over RLIMIT_NPROC for root")
    if attempt == "ends another process" and sandbox.level == "landlock" and landlock_version() < 6:
        pytest.skip("Landlock knows signals since Linux 6.12")
    before = victim.state
    own = tmp_path / "own"
    own.mkdir()
    result = run(sandbox, ATTEMPTS[attempt], own, victim.variables)
    assert "ESCAPED" not in result.output, result.output
    assert victim.state == before


# Without the sandbox they must succeed, or the test above would say nothing.
@pytest.mark.parametrize(
    "attempt",
    [
        "reads a file of the user",
        "lists a folder of the user",
        "reads it through a link of its own",
        "links it into its own folder",
        "writes a file into a folder of the user",
        "makes a file of the user executable",
        "connects to a port of the host",
        "connects to a unix socket",
        "connects to an abstract unix socket",
        "reads the environment of another process",
        "reaches a folder through another process",
        "sets the priority of another process",
        "writes a file larger than it may",
        "takes more memory than it may",
        "removes a file of the user",
        "gives a file of the user another time, by older system calls",
    ],
)
def test_the_same_program_succeeds_without_a_sandbox(attempt: str, tmp_path: Path) -> None:
    own, folder = tmp_path / "own", tmp_path / "folder"
    own.mkdir()
    folder.mkdir()
    with victim_in(folder) as unprotected:
        result = run(Sandbox("none"), ATTEMPTS[attempt], own, unprotected.variables)
        assert "ESCAPED" in result.output, result.output


def test_what_a_build_needs_works(sandbox: Sandbox, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    program = """
import os, socket, subprocess, tempfile, threading
os.makedirs("a/b"); open("a/b/c", "w").write("x"); os.rename("a/b/c", "a/d"); os.symlink("d", "a/e")
tempfile.mkdtemp(); left, right = socket.socketpair(); left.send(b"x"); right.recv(1)
thread = threading.Thread(target=lambda: None); thread.start(); thread.join()
subprocess.run(["sh", "-c", "echo ran > out"], check=True)
import multiprocessing; multiprocessing.Lock()
open(os.devnull, "w").write("x"); os.urandom(4)
print("WORKS")
"""
    result = run(sandbox, program, own, {"TMPDIR": str(own)})
    assert "WORKS" in result.output, result.output
    assert (own / "out").read_text() == "ran\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("call(132, path, array(1, 2))", "1.0 2.0"),
        ("call(235, path, array(3, 500000, 4, 250000))", "3.5 4.25"),
        ("call(261, -100, path, array(5, 0, 6, 0), 0x100)", "5.0 6.0"),
        ("call(280, -100, path, array(7, 0, 8, 0), 0)", "7.0 8.0"),
        ("call(235, path, array(9, 1000000, 9, 0))", "0.0 0.0"),
    ],
    ids=["utime", "utimes", "futimesat", "utimensat", "utimes with what is no time"],
)
def test_a_program_sets_the_times_of_its_own_files_in_any_way(
    words: str, expected: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("other machines have the newest form alone")
    own = tmp_path / "own"
    own.mkdir()
    program = f"""
import ctypes, os
call, path = ctypes.CDLL(None).syscall, b"file"
array = lambda *numbers: (ctypes.c_long * 4)(*numbers)
open("file", "w").close(); os.symlink("file", "link"); os.utime("file", (0, 0))
{words}
print(os.stat("file").st_atime, os.stat("file").st_mtime)
"""
    result = run(sandbox, program, own, {})
    assert result.output.strip() == expected, result.output


def test_nothing_that_a_program_started_lives_on(sandbox: Sandbox, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    program = """
import os, time
os.open(os.environ["LINE"], os.O_WRONLY)  # who lives holds it
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(100000)
    os._exit(0)
os.wait()
"""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    # By itself: the supervisor, below which programs are run, would end what the sandbox leaves.
    words = sandbox._prefix(View(writable=(own,)), cwd=own, scratch=scratch)
    words += [sys.executable, "-I", "-c", program]
    with lifeline(own) as line:
        env = {"PATH": os.defpath, "LINE": str(line.path)}
        subprocess.run(words, cwd=own, env=env, timeout=120, check=True)
        assert line.is_cut()


def test_a_program_writes_to_its_folder_behind_a_link_in_a_cache(sandbox: Sandbox, tmp_path: Path) -> None:
    """A kind of the cache may be a link to another disk, and a tool is made in a folder there."""
    cache, disk = tmp_path / "cache", tmp_path / "disk"
    cache.mkdir()
    (disk / "own").mkdir(parents=True)
    (cache / "kind").symlink_to(disk)
    own = cache / "kind" / "own"
    view = View(cache_paths(cache), (own,))
    words = ["sh", "-c", f"echo made > {own}/file; echo made > {disk}/other"]
    sandbox.run(Runner(), words, view, cwd=own, env={"PATH": os.defpath})
    assert (disk / "own" / "file").read_text() == "made\n"
    assert not (disk / "other").exists()


def test_what_is_layered_is_as_it_was(tmp_path: Path) -> None:
    try:
        sandbox = find_sandbox("namespaces")
    except MissingToolError as error:
        pytest.skip(str(error))
    own, shared = tmp_path / "own", tmp_path / "shared"
    own.mkdir()
    shared.mkdir()
    (shared / "kept").write_text("as it was")
    result = sandbox.run(
        Runner(),
        ["sh", "-c", f"echo changed > {shared}/kept; cat {shared}/kept"],
        View(writable=(own,), layered=(shared,)),
        cwd=own,
        env={"PATH": os.defpath},
        check=True,
    )
    assert result.output == "changed\n"
    assert (shared / "kept").read_text() == "as it was"


def test_a_host_that_allows_neither_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crosswheel.sandbox.levels._namespaces", lambda: "namespaces are refused")
    monkeypatch.setattr("crosswheel.sandbox.levels._landlock", lambda: "the kernel has no Landlock")
    with pytest.raises(MissingToolError, match="refused; the kernel has no Landlock") as caught:
        find_sandbox()
    assert "--sandbox none" in caught.value.hint
