"""What lies in the cache is named by its inputs, and made once, as a whole or not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from crosswheel.cached import cached_folder, cached_path
from crosswheel.errors import IntegrityError


def fill(folder: Path) -> None:
    (folder / "program").write_text("whole")


def test_what_is_made_of_the_same_inputs_is_made_once(tmp_path: Path) -> None:
    made = []

    def make(folder: Path) -> None:
        made.append(folder)
        fill(folder)

    first = cached_folder(tmp_path, "tools", {"a": 1, "b": [2]}, make, ["program"])
    assert first == cached_folder(tmp_path, "tools", {"b": [2], "a": 1}, make, ["program"])
    assert first == cached_path(tmp_path, "tools", {"a": 1, "b": [2]})
    assert first.parent == tmp_path / "tools"
    assert len(made) == 1
    assert cached_folder(tmp_path, "tools", {"a": 2, "b": [2]}, make, ["program"]) != first
    assert len(made) == 2


def test_what_could_not_be_made_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        fill(folder)
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError, match="disk"):
        cached_folder(tmp_path, "tools", "name", fail, ["program"])
    with pytest.raises(IntegrityError, match="still lacks some of program"):
        cached_folder(tmp_path, "tools", "name", lambda folder: None, ["program"])
    assert list((tmp_path / "tools").iterdir()) == []


def test_of_processes_that_need_it_at_once_one_makes_it(tmp_path: Path) -> None:
    script = f"""
from pathlib import Path
from crosswheel.cached import CachedFolder

def fill(folder):
    print("filling", flush=True)
    input()
    (folder / "program").write_text("whole")

CachedFolder(Path({str(tmp_path / "kept")!r}), ["program"]).make(fill, waiting=lambda: print("waiting", flush=True))
"""
    words = [sys.executable, "-c", script]
    processes = [
        subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    lines = [process.stdout.readline() for process in processes if process.stdout]
    filling = lines.index("filling\n")
    printed = [
        processes.pop(filling).communicate("\n")[0],
        *(process.communicate()[0] for process in processes),
    ]
    assert sorted(lines) == ["filling\n", "waiting\n", "waiting\n"]
    assert printed == ["", "", ""]
    assert (tmp_path / "kept" / "program").read_text() == "whole"
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
