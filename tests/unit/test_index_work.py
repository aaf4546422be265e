from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

from support.processes import lifeline

PROGRAM = """
import time
from crosswheel.index.work import map_in_processes

def work(number):
    if number:
        print(flush=True)
        time.sleep(600)

map_in_processes(work, range(3))
"""


def test_no_process_is_left_behind_by_one_that_was_killed(tmp_path: Path) -> None:
    with lifeline(tmp_path) as line:
        command = line.held(f"exec {shlex.join([sys.executable, '-c', PROGRAM])}")
        with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
            assert parent.stdout is not None
            parent.stdout.readline()
            parent.kill()
        assert line.is_cut()
