"""Starts programs, with environment, log, time limit, cancellation and echo; no other module starts any."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import selectors
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from crosswheel.errors import AllowanceSpent, BuildFailed, Interrupted, LimitExceeded, MissingToolError
from crosswheel.files import explained_storage_errors

Word = str | Path
_Child = subprocess.Popen[bytes]
_SUPERVISOR = Path(__file__).with_name("supervisor.py")
_GRACE_SECONDS = 3.0
# Seconds for a supervisor to end all remaining processes, and then for the rest of their output to arrive.
_SUPERVISOR_SECONDS, _LAST_WORDS_SECONDS = 12.0, 1.0


def this_python() -> str:
    """Return this interpreter's path without ``..``, which would not resolve in a sandbox that lacks folders."""
    return os.path.normpath(sys.executable)


class Cancellation:
    """Tracks every running program, so that one call ends them all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[_Child] = set()
        self.requested = False

    def cancel(self) -> None:
        """End all running programs with their children, and prevent new ones."""
        with self._lock:
            self.requested = True
            running = list(self._running)
        for child in running:
            _signal(child, signal.SIGTERM)
        for child in running:
            _end(child, _GRACE_SECONDS)

    def raise_if_requested(self) -> None:
        """Raise :class:`Interrupted` once :meth:`cancel` was called."""
        if self.requested:
            raise Interrupted("stopped", hint="run the same command again: it goes on where it stopped.")

    @contextlib.contextmanager
    def tracking(self, child: _Child) -> Iterator[None]:
        """Track ``child`` during the block; end it with all that it started when the block ends."""
        with self._lock:
            self._running.add(child)
            late = self.requested
        if late:  # cancel() was called before this child was tracked
            _signal(child, signal.SIGUSR1)
        try:
            yield
        finally:
            with self._lock:
                self._running.discard(child)
            _signal(child, signal.SIGUSR1)
            _end(child)


def _signal(child: _Child, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        child.send_signal(number)  # the signal tells the supervisor what to do


def _end(child: _Child, grace: float = 0.0) -> None:
    """Wait until a program's supervisor has ended it; if that takes too long, kill the supervisor."""
    try:
        child.wait(grace + _SUPERVISOR_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


@dataclass(frozen=True)
class Allowance:
    """What the programs of one piece of work may use.

    Attributes:
        seconds: how long they may take together; no limit of their own, if not given.
        until: when that time is over, on the monotonic clock.
        memory: bytes of private memory that each may have; what the machine has, if not given.
    """

    seconds: float | None = None
    until: float | None = None
    memory: int | None = None

    @classmethod
    def beginning(cls, seconds: float | None, memory: int | None) -> Allowance:
        """Return an allowance whose time begins now."""
        return cls(seconds, None if seconds is None else time.monotonic() + seconds, memory)

    def left(self, timeout: float) -> float:
        """Return how many seconds a program may take that has a limit of its own."""
        return timeout if self.until is None else min(timeout, max(0.0, self.until - time.monotonic()))


@dataclass(frozen=True)
class Limits:
    """The resource limits of a program; children count where the kernel counts them (setrlimit(2)).

    A limit that is lower already stays as it is.

    Attributes:
        memory: bytes of private memory of one process (``RLIMIT_DATA``).
        file_size: bytes of the largest file that it may write.
        processes: the number of processes and threads that the user may have at once.
    """

    memory: int = field(default_factory=lambda: os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    file_size: int = 8192 << 20
    processes: int = 4096

    @property
    def by_kernels_names(self) -> str:
        """The limits as the supervisor reads them; a core is not kept."""
        return f"DATA={self.memory},FSIZE={self.file_size},NPROC={self.processes},CORE=0"


@dataclass(frozen=True)
class Result:
    """How a program ended.

    Attributes:
        returncode: its exit code.
        output: what it printed, standard error included.
        processor_seconds: the processor time of it and of all that it started.
        peak_bytes: the memory of the largest of these.
    """

    returncode: int
    output: str
    processor_seconds: float = 0.0
    peak_bytes: int = 0

    @property
    def lines(self) -> list[str]:
        """The output, line by line."""
        return self.output.splitlines()


class _Note(Protocol):
    """Writes a line to a log."""

    def __call__(self, line: str, *, echoed: bool = ...) -> None: ...


@dataclass(frozen=True)
class Runner:
    """Runs programs for one piece of work.

    ``log`` receives every command and all it prints; ``echo`` is called with each line as it comes; ``allowance`` is
    what the programs may use. The limit of memory holds for what runs in a sandbox.
    """

    cancellation: Cancellation = field(default_factory=Cancellation)
    log: Path | None = None
    echo: Callable[[str], None] | None = None
    allowance: Allowance = field(default_factory=Allowance)

    def run(
        self,
        command: Sequence[Word],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 3600,
        check: bool = True,
        stdin: Path | None = None,
        prefix: Sequence[Word] = (),
        limits: Limits | None = None,
    ) -> Result:
        """Run a program to its end.

        Args:
            command: the program and its arguments; no shell is involved.
            env: the whole environment; this process's own by default.
            timeout: seconds after which the program and its children are ended.
            check: raise if the exit code is not 0.
            stdin: a file for its standard input, which is empty by default.
            prefix: words before the command that start it with fewer rights (:mod:`crosswheel.sandbox`).
            limits: its resource limits; this process's own by default.

        Raises:
            BuildFailed: the program failed.
            LimitExceeded: it took too long.
            MissingToolError: there is no such program.
            Interrupted: the user asked to stop.
        """
        words = [str(word) for word in command]
        with self._noting() as note:
            note(f"$ {shlex.join(words)}" + (f"   (in {cwd})" if cwd else ""))
            started = [*map(str, prefix), *words]
            result = self._finish(started, cwd, env, timeout, stdin, limits, note)
            # With the command: what others write to this log at the same time lies between.
            used = f"# {result.processor_seconds:.2f} s of processor time: {shlex.join(words)}"
            note(used, echoed=False)
            note(f"# {result.peak_bytes} bytes at most", echoed=False)
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
        limits: Limits | None,
        note: _Note,
    ) -> Result:
        self.cancellation.raise_if_requested()
        limit = self.allowance.left(timeout)
        expired = threading.Event()
        with _started(words, cwd, env, stdin, limits) as (child, report):

            def expire() -> None:
                expired.set()
                _signal(child, signal.SIGUSR1)

            timer = threading.Timer(limit, expire)
            timer.start()
            try:
                with self.cancellation.tracking(child):
                    output = _drain(child, note)
            finally:
                timer.cancel()
            seconds, peak = _reported(report, words[0])
        if expired.is_set():
            raise self._too_long(words[0], timeout, limit, output)
        return Result(child.returncode, output, seconds, peak)

    def _too_long(self, program: str, timeout: float, limit: float, output: str) -> LimitExceeded:
        if limit < timeout:
            return AllowanceSpent(
                f"{Path(program).name} was ended: the time limit of {self.allowance.seconds:.0f} s for the package is "
                f"over\n{tail(output)}",
                hint="give it more with --time-limit, or with time_limit in a recipe for it.",
            )
        return LimitExceeded(
            f"{Path(program).name} was ended after {timeout:.0f} s\n{tail(output)}",
            hint="the machine may be overloaded, or the program waits for something that never comes.",
        )

    @contextlib.contextmanager
    def _noting(self) -> Iterator[_Note]:
        """Yield what writes a line to the log, which is opened once for all of them, and calls ``echo`` with it."""
        with contextlib.ExitStack() as held:
            log = None
            if self.log is not None:
                with explained_storage_errors(self.log):
                    self.log.parent.mkdir(parents=True, exist_ok=True)
                    # Unbuffered, so that a reader sees every line at once, and after a kill as well.
                    log = held.enter_context(self.log.open("ab", buffering=0))

            def note(line: str, *, echoed: bool = True) -> None:
                if self.log is not None and log is not None:
                    with explained_storage_errors(self.log):
                        log.write(f"{line}\n".encode(errors="surrogateescape"))
                if self.echo is not None and echoed:
                    self.echo(line)

            yield note


@contextlib.contextmanager
def _started(
    words: Sequence[str],
    cwd: Path | None,
    env: Mapping[str, str] | None,
    stdin: Path | None,
    limits: Limits | None,
) -> Iterator[tuple[_Child, int]]:
    """Start a program below a supervisor; give that, and the descriptor of its report."""
    report, end = os.pipe()
    locale = (os.environ if env is None else env).get("LC_CTYPE", "")
    facts = (os.getpid(), end, _GRACE_SECONDS, locale, limits.by_kernels_names if limits else "")
    supervisor = [this_python(), "-ISs", str(_SUPERVISOR), *map(str, facts), "--"]
    try:
        try:
            with (stdin or Path(os.devnull)).open() as source:
                child = subprocess.Popen(
                    [*supervisor, *words],
                    cwd=cwd,
                    env=None if env is None else dict(env),
                    stdin=source,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # or Ctrl-C would reach it, too
                    pass_fds=[end],
                )
        except OSError as error:  # such as a missing working folder
            raise _unstartable(words[0], error) from error
        finally:
            os.close(end)
        assert child.stdout is not None
        with child.stdout:
            yield child, report
    finally:
        os.close(report)


def _reported(report: int, program: str) -> tuple[float, int]:
    """Return the processor time in seconds that a supervisor reports, and the bytes of the largest program.

    Raises:
        MissingToolError: the program could not be started.
    """
    facts = dict(line.split() for line in os.read(report, 64).decode().splitlines())
    if "error" in facts:  # there is none, it may not be executed, or it was made for another machine
        number = int(facts["error"])
        raise _unstartable(program, OSError(number, os.strerror(number), program))
    # A supervisor that was killed reports nothing.
    return float(facts.get("used", 0)), int(facts.get("peak", 0)) * 1024


def _unstartable(program: str, error: OSError) -> MissingToolError:
    return MissingToolError(
        f"{program} could not be started: {error.strerror}: {error.filename}",
        hint="`crosswheel doctor` tells what is missing and how to get it.",
    )


def _drain(child: _Child, note: _Note) -> str:
    """Note each line that a program prints until it has ended with all that it started; return them all."""
    assert child.stdout is not None
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8")("replace"), translate=True)
    lines, partial = [], ""
    for block in _blocks(child, child.stdout.fileno()):
        *complete, partial = (partial + decoder.decode(block, final=not block)).split("\n")
        for line in complete:
            lines.append(f"{line}\n")
            note(line)
    if partial:
        lines.append(partial)
        note(partial)
    return "".join(lines)


def _blocks(child: _Child, stream: int) -> Iterator[bytes]:
    """Yield blocks of a program's output; do not wait for an escaped process that keeps the output open."""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        block = b"more"
        while block and (selector.select(_LAST_WORDS_SECONDS) or child.poll() is None):
            if selector.select(0):
                block = os.read(stream, 1 << 16)
                yield block
        if block:
            yield b""
    child.wait()


def tail(output: str, lines: int = 12) -> str:
    """Return the last lines of a program's output, indented for an error message."""
    return "\n".join("    " + line for line in output.rstrip().splitlines()[-lines:])
