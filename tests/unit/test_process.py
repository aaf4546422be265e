"""Programs: all they print is kept, and none outlives the work it was started for."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from crosswheel.errors import (
    BuildFailed,
    CrosswheelError,
    Interrupted,
    LimitExceeded,
    MissingToolError,
    StorageError,
)
from crosswheel.process import Allowance, Cancellation, Runner, tail
from support.processes import Lifeline, lifeline

FOREVER = 100_000  # seconds; a test that waits for this has failed


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Lifeline]:
    with lifeline(tmp_path) as held:
        yield held


@dataclass
class Background:
    """A program that runs in a thread; ``ready`` once it printed a line."""

    runner: Runner
    ready: threading.Event = field(default_factory=threading.Event)
    error: CrosswheelError | None = None

    def run(self, command: list[str]) -> None:
        runner = Runner(
            self.runner.cancellation, echo=lambda line: "ready" in line.split() and self.ready.set()
        )
        try:
            runner.run(command)
        except CrosswheelError as error:
            self.error = error


@contextlib.contextmanager
def running(cancellation: Cancellation, command: list[str]) -> Iterator[Background]:
    """Run a command in a thread while the block lasts, which begins when the command printed ``ready``."""
    background = Background(Runner(cancellation))
    thread = threading.Thread(target=background.run, args=(command,))
    thread.start()
    assert background.ready.wait(60)
    yield background
    thread.join(60)
    assert not thread.is_alive()


def test_all_that_a_program_prints_is_returned_logged_and_echoed(tmp_path: Path) -> None:
    log, echoed = tmp_path / "new" / "log", list[str]()
    runner = Runner(log=log, echo=echoed.append)
    result = runner.run(["sh", "-c", "echo one; echo two >&2; printf three"])
    assert (result.returncode, result.lines) == (0, ["one", "two", "three"])
    assert echoed[1:] == result.lines
    *logged, used, peak = log.read_text().splitlines()
    command = echoed[0].removeprefix("$ ")
    assert (logged, used) == (echoed, f"# {result.processor_seconds:.2f} s of processor time: {command}")
    assert peak == f"# {result.peak_bytes} bytes at most"
    assert result.peak_bytes > 100_000
    assert echoed[0] == "$ sh -c 'echo one; echo two >&2; printf three'"


def test_each_program_is_added_to_the_log(tmp_path: Path) -> None:
    runner = Runner(log=tmp_path / "log")
    runner.run(["echo", "first"])
    runner.run(["echo", "second"], cwd=tmp_path)
    assert [line for line in (tmp_path / "log").read_text().splitlines() if not line.startswith("#")] == [
        "$ echo first",
        "first",
        f"$ echo second   (in {tmp_path})",
        "second",
    ]


def test_the_processor_time_of_a_program_is_that_of_all_that_it_started() -> None:
    burn = "import resource; [0 for _ in iter(lambda: resource.getrusage(resource.RUSAGE_SELF).ru_utime > 0.05, True)]"
    below = Runner().run(["sh", "-c", f"{sys.executable} -Sc '{burn}' & wait"])
    assert below.processor_seconds >= 0.05


def test_each_line_is_in_the_log_when_it_is_echoed_and_the_log_is_opened_once(tmp_path: Path) -> None:
    log, moved, echoed = tmp_path / "log", tmp_path / "moved", list[str]()

    def echo(line: str) -> None:
        if not moved.exists():
            log.rename(moved)
        echoed.append(line)
        assert moved.read_text().splitlines() == echoed

    Runner(log=log, echo=echo).run(["seq", "50"])
    assert echoed == ["$ seq 50", *(str(number) for number in range(1, 51))]


def test_a_failing_program_is_named_with_its_code_its_last_lines_and_its_log(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed) as caught:
        Runner(log=tmp_path / "log").run(["sh", "-c", "seq 100; echo the reason; exit 3"])
    assert caught.value.message.splitlines()[0] == "sh ended with exit code 3"
    assert caught.value.message.splitlines()[-1] == "    the reason"
    assert "    1" not in caught.value.message.splitlines()
    assert str(tmp_path / "log") in caught.value.hint


def test_a_failure_that_is_not_checked_is_a_result() -> None:
    assert Runner().run(["sh", "-c", "exit 3"], check=False).returncode == 3


def test_the_environment_is_all_that_is_given() -> None:
    assert Runner().run(["/usr/bin/env"], env={"ONLY": "this"}).lines == ["ONLY=this"]


def test_a_program_that_asks_for_input_gets_none() -> None:
    assert Runner().run(["cat"]).output == ""


def test_what_is_not_text_does_no_harm() -> None:
    assert Runner().run(["printf", r"a\377b\n"]).lines == ["a\N{REPLACEMENT CHARACTER}b"]


def test_no_shell_sees_the_words() -> None:
    assert Runner().run(["echo", "$HOME; a  b", "*"]).lines == ["$HOME; a  b *"]


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(MissingToolError, match="no-such-program") as caught:
        Runner().run(["no-such-program"])
    assert "doctor" in caught.value.hint


@pytest.mark.parametrize(
    ("content", "mode"), [(b"#!/bin/sh\n", 0o644), (b"\0 not a program", 0o755)], ids=["mode", "format"]
)
def test_a_file_that_cannot_be_executed_is_named(tmp_path: Path, content: bytes, mode: int) -> None:
    program = tmp_path / "program"
    program.write_bytes(content)
    program.chmod(mode)
    with pytest.raises(MissingToolError, match="program could not be started"):
        Runner().run([program])


def test_a_folder_that_is_not_there_is_not_taken_for_a_missing_program(tmp_path: Path) -> None:
    with pytest.raises(MissingToolError, match=r"true could not be started: .*absent"):
        Runner().run(["true"], cwd=tmp_path / "absent")


def test_a_program_that_takes_too_long_is_ended_with_its_children(line: Lifeline) -> None:
    with pytest.raises(BuildFailed, match=r"sh was ended after 2 s\n    begun"):
        Runner().run(line.held(f"echo begun; sleep {FOREVER} & sleep {FOREVER}"), timeout=2)
    assert line.is_cut()


def test_what_a_program_leaves_running_ends_with_it(line: Lifeline) -> None:
    result = Runner().run(line.held(f"sleep {FOREVER} >/dev/null 2>&1 & echo done"))
    assert result.lines == ["done"]
    assert line.is_cut()


def test_what_a_program_leaves_running_in_a_session_of_its_own_ends_with_it(line: Lifeline) -> None:
    """It holds the output open, and is in no group that could be signalled."""
    result = Runner().run(line.held(f"setsid sh -c 'setsid sleep {FOREVER} & sleep {FOREVER}' & echo done"))
    assert result.lines == ["done"]
    assert line.is_cut()


def test_cancelling_ends_what_is_in_a_session_of_its_own(line: Lifeline) -> None:
    cancellation = Cancellation()
    command = line.held(f"setsid sh -c 'trap \"\" TERM; echo ready; sleep {FOREVER}' & sleep {FOREVER}")
    with running(cancellation, command) as background:
        cancellation.cancel()
    assert isinstance(background.error, Interrupted)
    assert line.is_cut()


def test_nothing_that_was_started_outlives_a_process_that_was_killed(line: Lifeline) -> None:
    script = f"setsid sleep {FOREVER} & echo ready; sleep {FOREVER}"
    program = (
        "import sys; from crosswheel.process import Runner\n"
        "Runner(echo=lambda line: print(line, flush=True)).run(sys.argv[1:])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, *line.held(script)], stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        while b"ready" not in owner.stdout.readline().split():
            assert owner.poll() is None
        owner.kill()
    assert line.is_cut()


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGTERM])
def test_a_program_that_a_signal_ended_is_seen_as_such(number: signal.Signals) -> None:
    assert Runner().run(["sh", "-c", f"kill -{number.value} $$"], check=False).returncode == -number


def test_a_program_finds_the_signals_as_they_were() -> None:
    """A mask, or an ignored signal, that it inherits would outlast the supervisor."""
    # A shell has what it starts in the background ignore Ctrl-C and Ctrl-\\, and nohup the end of the terminal: that is
    # not the supervisor's doing.
    of_shells = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
    ignored = {number for number in of_shells if signal.getsignal(number) == signal.SIG_IGN}
    lines = Runner().run(["grep", "-E", "SigBlk|SigIgn", "/proc/self/status"]).lines
    assert {name: int(value, 16) for name, value in (line.split(":") for line in lines)} == {
        "SigBlk": 0,
        "SigIgn": sum(1 << (number - 1) for number in ignored),
    }


def test_cancelling_ends_running_programs_and_their_children(line: Lifeline) -> None:
    cancellation = Cancellation()
    command = line.held(f"sleep {FOREVER} & echo ready; sleep {FOREVER}")
    with running(cancellation, command) as first, running(cancellation, command) as second:
        cancellation.cancel()
    assert isinstance(first.error, Interrupted)
    assert isinstance(second.error, Interrupted)
    assert line.is_cut()


@pytest.mark.parametrize(
    "script",
    [
        f"trap '' TERM; echo ready; sleep {FOREVER}",
        # The program ends when asked to, and its child, which holds the output open, does not.
        f"sh -c \"trap '' TERM; echo ready; sleep {FOREVER}\" & wait",
    ],
    ids=["itself", "child"],
)
def test_cancelling_ends_programs_that_do_not_listen(
    line: Lifeline, script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crosswheel.process._GRACE_SECONDS", 0.1)
    cancellation = Cancellation()
    with running(cancellation, line.held(script)) as background:
        cancellation.cancel()
    assert isinstance(background.error, Interrupted)
    assert line.is_cut()


def test_programs_may_tidy_up_when_they_are_cancelled(line: Lifeline, tmp_path: Path) -> None:
    cancellation, tidied = Cancellation(), tmp_path / "tidied"
    command = line.held(f"trap 'touch {tidied}; exit' TERM; echo ready; sleep {FOREVER} & wait")
    with running(cancellation, command):
        cancellation.cancel()
    assert tidied.exists()


def test_nothing_is_started_after_cancelling(tmp_path: Path) -> None:
    runner = Runner()
    runner.cancellation.cancel()
    with pytest.raises(Interrupted) as caught:
        runner.run(["touch", tmp_path / "started"])
    assert not (tmp_path / "started").exists()
    assert "goes on where it stopped" in caught.value.hint


def test_whatever_goes_wrong_while_a_program_runs_ends_it(line: Lifeline) -> None:
    def echo(text: str) -> None:
        if text == "begun":
            raise KeyboardInterrupt  # as Ctrl-C does, at any point

    with pytest.raises(KeyboardInterrupt):
        Runner(echo=echo).run(line.held(f"echo begun; sleep {FOREVER} & wait"))
    assert line.is_cut()


def test_a_log_on_a_full_disk_is_explained_and_nothing_is_started(tmp_path: Path) -> None:
    (tmp_path / "log").symlink_to("/dev/full")
    with pytest.raises(StorageError, match="the disk is full"):
        Runner(log=tmp_path / "log").run(["touch", tmp_path / "started"])
    assert not (tmp_path / "started").exists()


def test_the_tail_is_the_last_lines_indented() -> None:
    assert tail("a\nb\nc\n\n", 2) == "    b\n    c"


def test_a_python_that_was_called_by_a_path_upwards_is_named_without_it() -> None:
    """In a sandbox, ``folder/../.venv/bin/python`` is not there: nobody shows it that folder."""
    python = Path(sys.executable)
    code = "from crosswheel.process import this_python; print(this_python())"
    named = Runner().run([f"../bin/{python.name}", "-c", code], cwd=python.parent).lines[-1]
    assert named == str(python)


def test_the_programs_of_one_piece_of_work_share_its_time() -> None:
    allowance = Allowance.beginning(3600, None)
    assert allowance.left(60) == 60
    assert 0 < allowance.left(7200) <= 3600
    assert Runner(allowance=allowance).run(["true"]).returncode == 0
    over = Runner(allowance=Allowance(seconds=1800, until=0.0))
    told = "sleep was ended: the time limit of 1800 s for the package is over"
    with pytest.raises(LimitExceeded, match=told) as raised:
        over.run(["sleep", str(FOREVER)])
    assert "--time-limit" in raised.value.hint
