from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from support.processes import lifeline

MANY = """
import time
from crosswheel.index.work import map_in_processes

def work(number):
    if number:
        print(flush=True)
        time.sleep(600)

map_in_processes(work, range(3))
"""

AHEAD = """
import os, sys, time
from crosswheel.index.ahead import ahead

def give():
    child = os.getpid() != here
    if child and sys.argv[1] == "killed":
        os.kill(os.getpid(), 9)
    if sys.argv[1] == "wrong":
        raise ValueError("wrong in the child" if child else "wrong here")
    return "x" * 1_000_000, child

here = os.getpid()
try:
    with ahead(give) as given:
        if sys.argv[1] == "unread":
            print(flush=True)
            time.sleep(600)
        if sys.argv[1] != "unasked":
            text, in_child = given()
            print(len(text), "in the child" if in_child else "here")
except ValueError as error:
    print(error)
print("end")
"""


@pytest.mark.parametrize("words", [[MANY], [AHEAD, "unread"]], ids=["many", "ahead"])
def test_no_process_is_left_behind_by_one_that_was_killed(tmp_path: Path, words: list[str]) -> None:
    with lifeline(tmp_path) as line:
        command = line.held(f"exec {shlex.join([sys.executable, '-c', *words])}")
        with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
            assert parent.stdout is not None
            parent.stdout.readline()
            parent.kill()
        assert line.is_cut()


@pytest.mark.parametrize(
    ("case", "printed"),
    [
        ("as usual", ["1000000 in the child", "end"]),
        ("killed", ["1000000 here", "end"]),
        ("wrong", ["wrong here", "end"]),
        ("unasked", ["end"]),
    ],
)
def test_what_is_called_ahead_is_called_here_where_its_process_brings_nothing(
    case: str, printed: list[str], tmp_path: Path
) -> None:
    with lifeline(tmp_path) as line:
        command = line.held(f"exec {shlex.join([sys.executable, '-c', AHEAD, case])}")
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True
        )
        assert line.is_cut()
    assert done.stdout.splitlines() == printed
