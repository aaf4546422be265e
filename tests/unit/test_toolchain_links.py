"""What was linked is recorded: the members of archives that something refers to, by the linker's own map."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from crosswheel.build.linked import read_records
from crosswheel.errors import BuildFailed
from crosswheel.toolchain.compilers.link_map import build_id_of, run_linker
from crosswheel.toolchain.compilers.programs import DRIVER

SOURCES = {
    "used.c": "int used(void) { return 1; }",
    "idle.c": "int idle(void) { return 2; }",
    "own.c": "int used(void); int own(void) { return used(); }",
}


def linked(folder: Path, compiler: list[str], archiver: str) -> Path:
    """Link a shared object with an archive of which it uses one member."""
    for name, text in SOURCES.items():
        (folder / name).write_text(text)
    env = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    (folder / "links").mkdir()
    for name in SOURCES:
        subprocess.run([*compiler, "-c", "-fPIC", name], cwd=folder, env=env, check=True)
    subprocess.run([archiver, "rcs", "libboth.a", "used.o", "idle.o"], cwd=folder, env=env, check=True)
    recorded = {**env, "CROSSWHEEL_LINKS": str(folder / "links")}
    words = ["-shared", "own.o", "-L.", "-lboth", "-o", "own.so"]
    subprocess.run([*compiler, *words], cwd=folder, env=recorded, check=True)
    return folder / "own.so"


@pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc on PATH")
def test_gnu_ld_tells_which_members_it_took(tmp_path: Path) -> None:
    driver = [
        sys.executable,
        "-ISs",
        str(DRIVER),
        "gcc",
        "cc",
        str(shutil.which("gcc")),
        str(shutil.which("g++")),
    ]
    made = linked(tmp_path, [*driver, "-ffile-prefix-map", "--"], "ar")
    (record,) = read_records(tmp_path / "links").links
    assert record.archives[str(tmp_path / "libboth.a")] == ["used.o"]
    assert str(tmp_path / "own.o") in record.objects
    assert record.build_id == build_id_of(made.read_bytes()) is not None


def test_a_link_that_fails_is_not_recorded_and_keeps_its_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROSSWHEEL_LINKS", str(tmp_path))
    assert run_linker(["false", "-o", str(tmp_path / "absent")], "zig") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"output": 3}', json.dumps({"output": "x", "build_id": None, "more": 1}), "[" * 10_000],
)
def test_a_record_that_a_build_changed_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.link.json").write_text(text)
    with pytest.raises(BuildFailed, match="cannot be read"):
        read_records(tmp_path)
