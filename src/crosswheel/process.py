"""The only place where a program is started: environment, log, time limit, cancellation, echo."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from crosswheel.errors import BuildFailed, Interrupted, MissingToolError
from crosswheel.files import explained_storage_errors

Word = str | Path
_GRACE_SECONDS = 3.0


class Cancellation:
    """Knows every program that is running, so that one call ends them all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self.requested = False

    def cancel(self) -> None:
        """End all running programs with their children, and start no more."""
        with self._lock:
            self.requested = True
            running = list(self._running)
        for child in running:
            _signal_group(child, signal.SIGTERM)
        for child in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(_GRACE_SECONDS)
            # Also where it has ended: a child of it may not have listened.
            _signal_group(child, signal.SIGKILL)

    def raise_if_requested(self) -> None:
        """Raise :class:`Interrupted` once :meth:`cancel` was called."""
        if self.requested:
            raise Interrupted("stopped", hint="run the same command again: it goes on where it stopped.")

    @contextlib.contextmanager
    def tracking(self, child: subprocess.Popen[str]) -> Iterator[None]:
        """Hold ``child`` among the running programs; whatever ends the block, its group ends too."""
        with self._lock:
            self._running.add(child)
            late = self.requested
        if late:  # cancel() looked before this child was known
            _signal_group(child, signal.SIGKILL)
        try:
            yield
        finally:
            with self._lock:
                self._running.discard(child)
            _signal_group(child, signal.SIGKILL)
            child.wait()


def _signal_group(child: subprocess.Popen[str], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)


@dataclass(frozen=True)
class Result:
    """How a program ended: its exit code and what it printed (standard error included)."""

    returncode: int
    output: str

    @property
    def lines(self) -> list[str]:
        """What it printed, line by line."""
        return self.output.splitlines()


@dataclass(frozen=True)
class Runner:
    """Starts programs for one piece of work.

    ``log`` receives every command and all it prints; ``echo`` is called with each line as it comes.
    """

    cancellation: Cancellation = field(default_factory=Cancellation)
    log: Path | None = None
    echo: Callable[[str], None] | None = None

    def logging_to(self, log: Path, echo: Callable[[str], None] | None = None) -> Runner:
        """Return a runner that is cancelled together with this one but has a log of its own."""
        return replace(self, log=log, echo=echo)

    def run(
        self,
        command: Sequence[Word],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 3600,
        network: bool = True,
        check: bool = True,
        stdin: Path | None = None,
    ) -> Result:
        """Run a program to its end.

        Args:
            command: the program and its arguments; no shell is involved.
            env: the whole environment; this process's own if not given.
            timeout: seconds after which the program and its children are ended.
            network: ``False`` runs it in an empty network namespace where the kernel allows that.
            check: raise when the exit code is not 0.
            stdin: a file that it reads as its standard input; nothing, if not given.

        Raises:
            BuildFailed: the program failed or took too long.
            MissingToolError: there is no such program.
            Interrupted: the user asked to stop.
        """
        words = [str(word) for word in command]
        with self._noting() as note:
            note(f"$ {shlex.join(words)}" + (f"   (in {cwd})" if cwd else ""))
            started = words if network else [*without_network(), *words]
            result = self._finish(started, cwd, env, timeout, stdin, note)
        self.cancellation.raise_if_requested()
        if check and result.returncode != 0:
            raise BuildFailed(
                f"{Path(words[0]).name} ended with exit code {result.returncode}\n" + tail(result.output),
                hint=f"the whole output is in {self.log}." if self.log else "its last lines are above.",
            )
        return result

    def _finish(
        self,
        words: list[str],
        cwd: Path | None,
        env: Mapping[str, str] | None,
        timeout: float,
        stdin: Path | None,
        note: Callable[[str], None],
    ) -> Result:
        self.cancellation.raise_if_requested()
        try:
            with (stdin or Path(os.devnull)).open() as given:
                child = subprocess.Popen(
                    words,
                    cwd=cwd,
                    env=None if env is None else dict(env),
                    stdin=given,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    errors="replace",
                    start_new_session=True,  # a group of its own, so that its children end with it
                )
        except OSError as error:  # also: not executable, made for another machine, no such working folder
            raise MissingToolError(
                f"{words[0]} could not be started: {error.strerror}: {error.filename}",
                hint="`crosswheel doctor` tells what is missing and how to get it.",
            ) from error
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            _signal_group(child, signal.SIGKILL)

        timer = threading.Timer(timeout, expire)
        timer.start()
        try:
            with self.cancellation.tracking(child):
                output = _drain(child, note)
                child.wait()
        finally:
            timer.cancel()
        if expired.is_set():
            raise BuildFailed(
                f"{Path(words[0]).name} was ended after {timeout:.0f} s\n" + tail(output),
                hint="the machine may be overloaded, or the program waits for something that never comes.",
            )
        return Result(child.returncode, output)

    @contextlib.contextmanager
    def _noting(self) -> Iterator[Callable[[str], None]]:
        """Give what writes a line to the log, which is opened once for all of them, and calls ``echo`` with it."""
        with contextlib.ExitStack() as held:
            log = None
            if self.log is not None:
                with explained_storage_errors(self.log):
                    self.log.parent.mkdir(parents=True, exist_ok=True)
                    # Without a buffer: whoever reads the log meanwhile, or after a kill, sees every line.
                    log = held.enter_context(self.log.open("ab", buffering=0))

            def note(line: str) -> None:
                if self.log is not None and log is not None:
                    with explained_storage_errors(self.log):
                        log.write(f"{line}\n".encode(errors="surrogateescape"))
                if self.echo is not None:
                    self.echo(line)

            yield note


def _drain(child: subprocess.Popen[str], note: Callable[[str], None]) -> str:
    assert child.stdout is not None
    lines = []
    with child.stdout:
        for line in child.stdout:
            lines.append(line)
            note(line.rstrip("\n"))
    return "".join(lines)


def tail(output: str, lines: int = 12) -> str:
    """Return the last lines of a program's output, indented, as they are shown in an error."""
    return "\n".join("    " + line for line in output.rstrip().splitlines()[-lines:])


def without_network() -> list[str]:
    """Return the words to put before a command so that it runs without network, or none.

    Uses ``unshare`` of util-linux: as root a network namespace is enough, else a user namespace
    is made with it. Where the kernel refuses (some containers), the list is empty.
    """
    unshare = shutil.which("unshare")
    if unshare is None:
        return []
    words = [unshare, "--net"] if os.geteuid() == 0 else [unshare, "--net", "--map-current-user"]
    probe = subprocess.run([*words, "true"], capture_output=True, check=False)
    return words if probe.returncode == 0 else []
