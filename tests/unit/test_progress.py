"""What is drawn, on real terminals (pseudo-terminals of a child process), pipes and files."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from crosswheel.errors import BuildFailed
from crosswheel.progress import Row, Transfers, display, show_error, table
from crosswheel.progress.live import final_frame, frame
from crosswheel.progress.state import Ended, Running, RunState
from crosswheel.progress.wording import in_short

HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
COLOUR = re.compile(r"\x1b\[(?:[\d;]*;)?(?:3[0-7]|9[0-7]|38;[\d;]+)m")
PATIENCE = 60
"""Seconds after which a child process that does not end is a failure; never waited for otherwise."""

RUN = """
import sys, threading
from concurrent.futures import ThreadPoolExecutor
from rich.console import Console
from crosswheel.progress import Row, display

packages = [(f"package-{i}", f"1.{i}") for i in range(40)]

def work(package):
    name, version = package
    shown.start(name, version, "building")
    for i in range(20):
        shown.line(name, f"[{i}/20] cc -c module.c")
    shown.step(name, "checking")
    shown.done(name, "failed" if name == "package-7" else "built", "a symbol is too new")

rows = [Row(n, v, "failed" if n == "package-7" else "built", 1.0, 1000, "") for n, v in packages]
with display(Console(), verbose=False) as shown:
    shown.expect(packages)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, packages))
    shown.summary(rows)
"""

INTERRUPTED = """
import threading
from rich.console import Console
from crosswheel.progress import display

try:
    with display(Console(), verbose=False) as shown:
        shown.expect([("greenlet", "3.2.1"), ("regex", "1.0")])
        shown.start("regex", "1.0", "building")
        shown.done("regex", "failed", "a symbol is too new")
        shown.start("greenlet", "3.2.1", "building")
        shown.message("under way")
        threading.Event().wait()
except KeyboardInterrupt:
    raise SystemExit(130)
"""


Log = tuple[Console, Callable[[], str]]


@dataclass(frozen=True)
class Ending:
    text: str
    returncode: int


def environment(**extra: str) -> dict[str, str]:
    """An environment in which only ``extra`` says what the terminal can do."""
    silent = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLORTERM")
    inherited = {name: value for name, value in os.environ.items() if name not in silent}
    return {**inherited, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8", **extra}


def on_terminal(script: str, interrupt_at: str | None = None, **env: str) -> Ending:
    """Run a script on a terminal of 80x24; send SIGINT when it has shown ``interrupt_at``."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    child = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment(**env),
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    try:
        while block := _read(ours):
            shown += block
            if interrupt_at and interrupt_at.encode() in shown:
                child.send_signal(signal.SIGINT)
                interrupt_at = None
        return Ending(shown.decode(), child.wait(PATIENCE))
    finally:
        child.kill()
        child.wait()
        os.close(ours)


def _read(terminal: int) -> bytes:
    ready, _, _ = select.select([terminal], [], [], PATIENCE)
    assert ready, "the program hangs"
    try:
        return os.read(terminal, 65536)
    except OSError:  # how Linux tells that the other end was closed
        return b""


def through_pipe(script: str, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(**env),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    """A console that writes to a file, and what is in that file at the moment."""
    path = tmp_path / "log"
    with path.open("w", encoding="utf-8") as stream:
        yield Console(file=stream, width=80), lambda: path.read_text(encoding="utf-8")


def screen_lines(renderable: object, width: int, height: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    lines = console.render_lines(renderable, pad=False)  # type: ignore[arg-type]
    return ["".join(segment.text for segment in line) for line in lines]


def busy_state(failed: int, running: int) -> RunState:
    state = RunState().expecting([(f"opentelemetry-instrumentation-number-{i}", "0.50b0") for i in range(96)])
    for i in range(failed):
        state = state.with_ended(Ended(f"bad-{i}", "1.0", "failed", 65.0, "a symbol is too new " * 9))
    for i in range(running):
        state = state.with_running(Running(f"slow-{i}", "1.0", "building", 0.0, "cc -c a_long_line.c " * 9))
    return state


class TestOnATerminal:
    def test_all_ends_with_the_failures_the_totals_and_a_visible_cursor(self) -> None:
        ending = on_terminal(RUN)
        assert ending.returncode == 0
        assert HIDE_CURSOR in ending.text, "nothing was drawn live"
        assert ending.text.rfind(SHOW_CURSOR) > ending.text.rfind(HIDE_CURSOR)
        assert "Traceback" not in ending.text
        assert "failed: package-7 1.7" in re.sub(r"\x1b\[[\d;]*m", "", ending.text)
        last_line = re.sub(r"\x1b\[[\d;?]*[a-z]", "", ending.text).splitlines()[-1]
        assert last_line == "39 wheels, 39.0 kB: 0 taken, 39 built, 1 failed"

    def test_control_c_brings_the_cursor_back_and_leaves_the_failures_visible(self) -> None:
        ending = on_terminal(INTERRUPTED, interrupt_at="under way")
        assert ending.returncode == 130
        assert "Traceback" not in ending.text
        assert ending.text.rfind(SHOW_CURSOR) > ending.text.rfind(HIDE_CURSOR) >= 0
        last_frame = ending.text[ending.text.rfind("regex") :]
        assert "failed" in last_frame
        assert "1/2" in last_frame

    def test_no_color_is_respected(self) -> None:
        assert COLOUR.search(on_terminal(RUN).text)
        assert not COLOUR.search(on_terminal(RUN, NO_COLOR="1").text)

    def test_a_dumb_terminal_gets_plain_lines(self) -> None:
        text = on_terminal(RUN, TERM="dumb").text
        assert "\x1b" not in text
        assert all(f"[{i:2}/40] package-" in text for i in range(1, 41))

    def test_a_terminal_without_unicode_gets_plain_lines(self) -> None:
        ending = on_terminal(RUN, PYTHONIOENCODING="ascii")
        assert ending.returncode == 0
        assert HIDE_CURSOR not in ending.text


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("/cache/tools/1f/cc -fPIC -I/a/b\n -c src/a.c -o build/a.o -O3", "cc … src/a.c"),
        ("[3/20] /cache/tools/1f/c++ -c /tree/src/b.cpp -o b.o", "c++ … b.cpp"),
        ("/cache/tools/1f/ar rcs liba.a a.o", "ar rcs liba.a a.o"),
        ("   Compiling ring v0.17.8", "Compiling ring v0.17.8"),
        ("copying a.c -> build", "copying a.c -> build"),
        ("", ""),
    ],
)
def test_of_a_command_that_compiles_the_program_and_the_source_are_shown(line: str, shown: str) -> None:
    assert in_short(line) == shown
    state = RunState().with_running(Running("asyncpg", "0.30.0", "building", 0.0, line))
    assert shown in " ".join(screen_lines(frame(state, 1, 1, 120, 24), 120, 24))


class TestFrame:
    @pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (46, 10), (30, 6), (20, 3)])
    @pytest.mark.parametrize(("failed", "running"), [(0, 1), (90, 6), (2, 94), (48, 48)])
    def test_it_fits_and_what_is_cut_off_ends_in_an_ellipsis(
        self, width: int, height: int, failed: int, running: int
    ) -> None:
        lines = screen_lines(frame(busy_state(failed, running), 10.0, 10.0, width, height), width, height)
        assert len(lines) < height
        assert all(len(line) <= width for line in lines)
        with_details = [line for line in lines[:-1] if width >= 60 and re.search("failed|building", line)]
        assert all(line.rstrip().endswith("…") for line in with_details)
        assert lines[-1].rstrip().endswith(("0:10", "…"))

    @pytest.mark.parametrize("width", [120, 80, 60, 59, 36, 35, 24])
    def test_a_long_name_is_cut_with_an_ellipsis_and_leaves_room_for_the_step(self, width: int) -> None:
        state = RunState().with_running(Running("a-very-" + "long-" * 20 + "name", "1.0", "building", 0.0))
        row = screen_lines(frame(state, 10.0, 10.0, width, 24), width, 24)[0]
        assert re.match(r"a-very-\S*…  building", row)
        assert ("0:10" in row) == (width >= 36)

    def test_failures_stay_visible_among_many_running(self) -> None:
        lines = screen_lines(frame(busy_state(1, 90), 10.0, 10.0, 80, 24), 80, 24)
        assert lines[0].startswith("bad-0 1.0")
        assert any(re.match(r"… and \d+ more", line) for line in lines)

    def test_running_rows_stay_visible_among_many_failures(self) -> None:
        text = "\n".join(screen_lines(frame(busy_state(60, 4), 72.0, 72.0, 80, 24), 80, 24))
        assert all(f"slow-{i} 1.0" in text for i in range(4))
        assert "1:12" in text

    def test_packages_that_wait_for_others_are_counted_below_those_being_worked_on(self) -> None:
        state = busy_state(0, 4).with_waiting("slow-1", 20.0).with_waiting("slow-2", 20.0)
        lines = screen_lines(frame(state, 30.0, 30.0, 80, 24), 80, 24)
        assert [line.split()[0] for line in lines[:2]] == ["slow-0", "slow-3"]
        assert re.match(r"2 others +waiting +for what they need", lines[2])

    def test_the_time_of_a_package_is_that_of_the_work_on_it(self) -> None:
        state = busy_state(0, 1).with_waiting("slow-0", 20.0)
        resumed = state.with_running(Running("slow-0", "1.0", "testing", 100.0))
        assert re.search(r"testing +0:25", screen_lines(frame(resumed, 105.0, 105.0, 80, 24), 80, 24)[0])

    def test_a_command_of_many_lines_takes_one_row(self) -> None:
        state = RunState().with_running(
            Running("ujson", "1.0", "building", 0.0, "python -c '\nimport a\n  b'")
        )
        lines = screen_lines(frame(state, 1.0, 1.0, 80, 24), 80, 24)
        assert len(lines) == 2
        assert lines[0].rstrip().endswith("python -c ' import a b'")

    def test_the_last_frame_holds_every_failure(self) -> None:
        text = "\n".join(screen_lines(final_frame(busy_state(60, 0), 10.0, 80), 80, 24))
        assert all(f"bad-{i} 1.0" in text for i in range(60))


class TestElsewhere:
    @pytest.mark.parametrize("env", [{}, {"NO_COLOR": "1"}])
    def test_a_pipe_gets_one_line_per_package_without_escapes(self, env: dict[str, str]) -> None:
        text = through_pipe(RUN, **env)
        assert "\x1b" not in text
        lines = text.split("\n\n")[0].splitlines()
        assert [line[:7] for line in lines] == [f"[{i:2}/40]" for i in range(1, 41)]
        assert sum("failed" in line and line.endswith("a symbol is too new") for line in lines) == 1

    def test_a_log_that_forces_colour_is_still_not_drawn_live(self) -> None:
        text = through_pipe(RUN, FORCE_COLOR="1")
        assert COLOUR.search(text)
        assert HIDE_CURSOR not in text

    def test_lines_are_whole_and_in_order_whatever_thread_they_come_from(self, log: Log) -> None:
        console, text = log
        packages = [(f"package-{i}", "1.0") for i in range(200)]
        together = threading.Barrier(8)
        with display(console, verbose=True) as shown:
            shown.expect(packages)

            def work(eighth: int) -> None:
                together.wait(PATIENCE)
                for name, version in packages[eighth::8]:
                    shown.start(name, version, "building")
                    shown.done(name, "built")

            with ThreadPoolExecutor(8) as pool:
                list(pool.map(work, range(8)))
        lines = text().splitlines()
        numbers = [int(line[1:4]) for line in lines if line.startswith("[")]
        assert numbers == list(range(1, 201))
        assert sum(bool(re.fullmatch(r"package-\d+-1\.0 \| building", line)) for line in lines) == 200

    def test_a_line_is_there_at_once_and_in_columns(self, log: Log) -> None:
        console, text = log
        with display(console, verbose=False) as shown:
            shown.expect([("greenlet", "3.2.1"), ("ruamel.yaml.clib", "0.2.12")])
            shown.done("greenlet", "taken")
            assert text() == "[1/2] greenlet 3.2.1           taken\n"
            shown.start("ruamel.yaml.clib", "0.2.12", "building")
            shown.done("ruamel.yaml.clib", "built", "no wheel\nfor this machine")
        _, second = text().splitlines()
        assert re.fullmatch(r"\[2/2\] ruamel\.yaml\.clib 0\.2\.12  built +\d+\.\d s  no wheel", second)

    def test_a_log_tells_when_a_build_begins_and_how_long_all_of_it_took(self, log: Log) -> None:
        console, text = log
        with display(console, verbose=False) as shown:
            shown.expect([("greenlet", "3.2.1"), ("ujson", "5.10.0")])
            shown.start("ujson", "5.10.0", "fetching")
            shown.step("ujson", "building")
            shown.wait("ujson")
            shown.start("ujson", "5.10.0", "testing")
            shown.done("ujson", "built")
        building, built = text().splitlines()
        assert building == "[0/2] ujson 5.10.0    building"
        assert re.fullmatch(r"\[1/2\] ujson 5\.10\.0    built +\d+\.\d s", built)

    def test_a_time_that_is_told_is_shown_instead_of_that_of_all_the_work(self, log: Log) -> None:
        console, text = log
        with display(console, verbose=False) as shown:
            shown.start("ujson", "5.10.0", "testing")
            shown.done("ujson", "built", "no wheel", 220.0)
        assert "3 min 40 s  no wheel" in text()

    def test_output_of_programs_is_shown_only_when_verbose(self, log: Log) -> None:
        console, text = log
        with display(console, verbose=False) as quiet:
            quiet.start("ujson", "5.10.0", "building")
            quiet.line("ujson", "running bdist_wheel")
            quiet.detail("ujson", "10 %")
        assert text() == ""

    def test_verbose_lines_tell_their_package_and_lose_terminal_escapes(self, log: Log) -> None:
        console, text = log
        with display(console, verbose=True) as shown:
            shown.start("ujson", "5.10.0", "building")
            shown.line("ujson", "\x1b[32m[50%]\x1b[0m\ta.c\x07 [red]" + "x" * 100)
            shown.detail("ujson", "10 %")
            shown.done("ujson", "failed")
            shown.line("ujson", "a late line")
        lines = text().splitlines()
        assert lines[0] == "ujson-5.10.0 | building"
        assert lines[1] == "ujson-5.10.0 | [50%]   a.c [red]" + "x" * 100
        assert lines[2] == "ujson-5.10.0 | 10 %"
        assert lines[4].endswith(" | a late line")

    def test_what_the_encoding_lacks_does_not_stop_the_work(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        with log.open("w", encoding="ascii") as stream, display(Console(file=stream), verbose=True) as shown:
            shown.start("ujson", "1", "building")
            shown.line("ujson", "«a.c»: error \udcff")
            shown.warning("naïve")
        assert log.read_text() == "ujson-1 | building\nujson-1 | ?a.c?: error ?\nwarning: na?ve\n"


class TestReports:
    ROWS = (
        Row("idna", "3.10", "taken", 0.1, 70_000, "pure", imported=1),
        Row("ujson", "5.10.0", "built", 12.34, 130_000, "no wheel for armv7l", not_run="no Python there"),
        Row(
            "regex",
            "2024.11.6",
            "built",
            220.0,
            1_000_000,
            "its wheels need a newer glibc",
            imported=2,
            skipped={"regex._x": "no screen"},
        ),
        Row("cryptography", "44.0.2", "failed", 3.0, None, "", "cargo failed\n    linker", "read [the] log."),
        Row("prefect", "3.3.4", "blocked", 0.0, None, "needs cryptography 44.0.2"),
    )

    def test_the_summary_tells_what_was_built_not_run_blocked_and_failed_and_the_totals_last(
        self, log: Log
    ) -> None:
        console, text = log
        display(console, verbose=False).summary(self.ROWS)
        assert text() == (
            "\n"
            "built\n"
            "package  version          time      size  reason\n"
            "ujson    5.10.0         12.3 s  130.0 kB  no wheel for armv7l\n"
            "regex    2024.11.6  3 min 40 s    1.0 MB  its wheels need a newer glibc\n"
            "\n"
            "not run\n"
            "package  version    what       reason\n"
            "ujson    5.10.0     all of it  no Python there\n"
            "regex    2024.11.6  regex._x   no screen\n"
            "\n"
            "blocked\n"
            "package  version  reason\n"
            "prefect  3.3.4    needs cryptography 44.0.2\n"
            "\n"
            "failed: cryptography 44.0.2: cargo failed\n"
            "    linker\n"
            "  what to do: read [the] log.\n"
            "\n"
            "2 wheels run on the target, 3 modules imported, 1 not; 1 not run\n"
            "3 wheels, 1.2 MB: 1 taken, 2 built, 1 failed, 1 blocked\n"
        )

    def test_the_totals_of_a_run_without_failures_are_all_that_is_said(self, log: Log) -> None:
        console, text = log
        display(console, verbose=False).summary(self.ROWS[:1])
        assert text() == (
            "\n1 wheel run on the target, 1 module imported; 0 not run\n1 wheel, 70.0 kB: 1 taken, 0 built, 0 failed\n"
        )

    def test_an_error_tells_what_happened_and_what_to_do_unwrapped_in_a_pipe(self, log: Log) -> None:
        console, text = log
        path = "/a/long/path" * 10
        show_error(console, BuildFailed("cc [1] failed", hint=f"read {path}."))
        assert text() == f"error: cc [1] failed\n  what to do: read {path}.\n"

    def test_a_table_in_a_pipe_is_aligned_whole_and_one_line_per_row(self, log: Log) -> None:
        console, text = log
        long = "word " * 40
        table(console, "plan", ("package", "why"), [("ujson", long), ("日本", "[b]two\nlines")])
        assert text() == f"plan\npackage  why\nujson    {long.strip()}\n日本     [b]two lines\n"

    def test_a_table_on_a_terminal_folds_what_is_too_long(self) -> None:
        ending = on_terminal(
            "from rich.console import Console\nfrom crosswheel.progress import table\n"
            "table(Console(), 'plan', ('package', 'why'), [('[b]ujson', 'x' * 200)])"
        )
        assert "[b]ujson" in ending.text
        assert ending.text.count("x") == 200
        assert all(len(re.sub(r"\x1b\[[\d;]*m", "", line)) <= 80 for line in ending.text.splitlines())


def test_a_long_transfer_is_told_in_a_line_every_ten_seconds_for_each_robot() -> None:
    seconds, output = iter([0.0, 4.0, 10.0, 12.0, 20.0, 30.0]), io.StringIO()
    with Transfers(Console(file=output), clock=lambda: next(seconds)) as shown:
        shown.say("ot2-a", "sending 3 files")
        shown.sent("ot2-a", 0, 90_000_000)
        shown.sent("ot2-a", 10_000_000, 90_000_000)
        shown.sent("ot2-a", 30_000_000, 90_000_000)
        shown.sent("ot2-b", 0, 90_000_000)
        shown.sent("ot2-a", 50_000_000, 90_000_000)
        shown.sent("ot2-a", 90_000_000, 90_000_000)
    assert output.getvalue().splitlines() == [
        "ot2-a: sending 3 files",
        "ot2-a: 30.0 MB of 90.0 MB, 3.0 MB a second",
        "ot2-a: 50.0 MB of 90.0 MB, 2.0 MB a second",
    ]


TRANSFER = """
from rich.console import Console
from crosswheel.progress import Transfers

with Transfers(Console()) as shown:
    shown.say("ot2-a", "sending 3 files")
    for done in range(46):
        shown.sent("ot2-a", done * 1_000_000, 90_000_000)
    shown.say("ot2-b", "putting it together")
"""


def test_on_a_screen_a_transfer_has_a_bar_that_is_gone_afterwards() -> None:
    shown = on_terminal(TRANSFER)
    assert shown.returncode == 0, shown.text
    assert re.search(r"ot2-a .*45\.0/90\.0 MB", shown.text), shown.text
    assert "ot2-b: putting it together\r\n" in shown.text
    assert shown.text.rindex(SHOW_CURSOR) > shown.text.rindex(HIDE_CURSOR)
    assert "\x1b[2K" in shown.text[shown.text.rindex("45.0/90.0") :]  # its line is wiped


ACTIVITY = """
from rich.console import Console
from crosswheel.progress import activity

with activity(Console()) as tell:
    for number in range(3):
        tell(f"auditing [b]demo-{number}.whl\x1b]0;title\x07")
print("done")
"""


def test_on_a_screen_the_step_that_goes_on_is_shown_and_is_gone_afterwards() -> None:
    shown = on_terminal(ACTIVITY)
    assert shown.returncode == 0, shown.text
    assert "auditing [b]demo-2.whl" in shown.text
    assert "\x1b]" not in shown.text
    assert "\x1b[2K" in shown.text[shown.text.rindex("demo-2.whl") :]
    assert shown.text.rstrip().endswith("done")


def test_elsewhere_steps_are_not_shown() -> None:
    assert through_pipe(ACTIVITY) == "done\n"
    assert on_terminal(ACTIVITY, PYTHONIOENCODING="ascii").text == "done\r\n"
