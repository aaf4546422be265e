"""Wheels are run on the machine itself: in a folder that is gone afterwards, at low priority, and within limits.

The machine is this one, behind a program that is called as ssh is.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from crosswheel import targets
from crosswheel.deploy.proving_ground import ProvingGround
from crosswheel.deploy.ssh import Address
from crosswheel.emulation.trials import Importable
from crosswheel.errors import BuildFailed, CheckFailed, CrosswheelError, TargetError
from crosswheel.job.machine_runs import KeptRuns, Machine, run_on_machine
from crosswheel.seals import Seals
from crosswheel.targets import Target

# The last word is the command, as for a login's shell; what a login prints comes first.
_SSH = """#!/bin/sh
echo "Welcome! 3 updates can be applied"
for command; do :; done
exec sh -c "$command"
"""
SEALS = Seals(b"a key")
VERSION = ".".join(map(str, sys.version_info[:3]))


def of_this_version() -> Target:
    ot2 = targets.load("ot2")
    return ot2.model_copy(update={"python": ot2.python.model_copy(update={"version": VERSION})})


# What runs on a robot has the lowest priority: on a machine that others keep busy it waits for its turn.
_LONG = 600.0


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "ssh").write_text(_SSH)
    (folder / "ssh").chmod(0o755)
    (folder / "python3").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.fixture
def ground() -> Iterator[ProvingGround]:
    with ProvingGround(Address("robot"), of_this_version(), seconds=_LONG) as ground:
        yield ground


def site_with(folder: Path, files: dict[str, str]) -> Path:
    site = folder / "lib" / "python3.10" / "site-packages"
    site.mkdir(parents=True)
    for name, text in files.items():
        (site / name).write_text(text)
    return site


def program(folder: Path, text: str) -> str:
    (folder / "programs").mkdir(exist_ok=True)
    (folder / "programs" / "test_it.py").write_text(text)
    return str(folder / "programs" / "test_it.py")


def test_modules_are_imported_and_tests_run_there_and_nothing_is_left(tmp_path: Path) -> None:
    site = site_with(tmp_path / "one", {"one.py": "import two\n"})
    other = site_with(tmp_path / "two", {"two.py": "VALUE = 2\n"})
    (tmp_path / "two" / "etc").mkdir()
    (tmp_path / "two" / "etc" / "data").write_text("there")
    test = program(
        tmp_path,
        "import one, two, os, pathlib, sys\n"
        "assert os.nice(0) == 19\n"
        "assert pathlib.Path(sys.prefix, 'etc', 'data').read_text() == 'there'\n"
        f"assert not one.__file__.startswith({str(tmp_path)!r})\n",
    )
    with ProvingGround(Address("robot"), of_this_version(), seconds=_LONG) as ground:
        folder = Path(ground.facts["folder"])
        machine = Machine("robot", ground.facts, ground.trial)
        run = run_on_machine(machine, Importable("one.whl", pure=["one"]), [Path(test)], [site, other])
        assert folder.is_dir()
    assert (run.imported, run.tests, run.python) == (("one",), ("test_it",), VERSION)
    assert not folder.exists()


def test_what_does_not_load_there_is_refused_by_the_machine_itself(
    ground: ProvingGround, tmp_path: Path
) -> None:
    site = site_with(tmp_path, {"one.py": "from typing import NoSuchThing\n"})
    machine = Machine("robot", ground.facts, ground.trial)
    with pytest.raises(CheckFailed, match=r"(?s)refused by robot itself.*NoSuchThing"):
        run_on_machine(machine, Importable("one.whl", pure=["one"]), [], [site])


def test_what_does_not_end_is_ended(tmp_path: Path) -> None:
    with ProvingGround(Address("robot"), of_this_version(), seconds=1) as ground:
        with pytest.raises(BuildFailed, match="did not end within 1 s on robot"):
            ground.run([program(tmp_path, "while True: pass")], [])
        ground._seconds = _LONG
        assert ground.run(["-c", "print('next')"], []).lines == ["next"]


def test_what_takes_too_much_memory_is_refused_it(ground: ProvingGround) -> None:
    result = ground.run(["-c", "x = bytearray(1 << 46)"], [])
    assert result.returncode == 1
    assert "MemoryError" in result.output


def test_a_line_that_drops_ends_what_runs_and_leaves_nothing(ground: ProvingGround, tmp_path: Path) -> None:
    folder, failures = Path(ground.facts["folder"]), []
    started = tmp_path / "started"
    os.mkfifo(started)

    def run() -> None:
        try:
            ground.run([program(tmp_path, f"open({str(started)!r}, 'w').close()\nwhile True: pass")], [])
        except CrosswheelError as error:
            failures.append(error)
        with contextlib.suppress(OSError):  # whoever waits for a program that was never started
            os.close(os.open(started, os.O_WRONLY | os.O_NONBLOCK))

    running = threading.Thread(target=run)
    running.start()
    started.read_bytes()  # it runs
    assert ground._child.stdin
    ground._child.stdin.close()
    running.join()
    assert len(failures) == 1
    assert not folder.exists()


def test_a_machine_with_another_python_is_refused() -> None:
    ot2 = targets.load("ot2")
    other = ot2.model_copy(update={"python": ot2.python.model_copy(update={"version": "3.1.5"})})
    with pytest.raises(TargetError, match=r"robot has Python 3\.\d+\.\d+, and Opentrons OT-2 3\.1\.5"):
        ProvingGround(Address("robot"), other)


def test_a_run_counts_for_the_machine_as_it_was_then(ground: ProvingGround, tmp_path: Path) -> None:
    machine = Machine("robot", ground.facts, ground.trial)
    run = run_on_machine(machine, Importable("none.whl"), [], [])
    kept = KeptRuns(tmp_path, SEALS, {"wheel": "a"})
    assert kept.read(machine) is None
    kept.write(run)
    assert kept.read(machine) == kept.read(None) == run
    updated = Machine("robot", {**ground.facts, "kernel": "9.9"}, ground.trial)
    assert kept.read(updated) is None  # after an update of its image it is run again
    assert KeptRuns(tmp_path, SEALS, {"wheel": "b"}).read(None) is None
