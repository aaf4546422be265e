"""What runs here as on a robot: a script in its emulated environment, and an environment of this machine's own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from support.command_line import CommandLine, command_line
from support.projects import own_project, write_tree

SCRIPT = """
import os, pathlib, platform, sys
import lab, six
print(platform.machine(), platform.python_version(), sys.argv[1:], six.answer)
print(pathlib.Path(__file__).with_name("words.txt").read_text())
print(os.path.exists({secret!r}))
sys.exit(3)
"""


@pytest.fixture(scope="module")
def crosswheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    with command_line(tmp_path_factory.mktemp("simulating")) as line:
        line.offer_wheel("six", files={"six.py": b"answer = 42\n"})
        line.offer_wheel("six", "2.0", files={"six.py": b"answer = 43\n"})
        line.offer_wheel("native", files={"native.py": b""}, tag="cp310-cp310-manylinux_2_17_armv7l")
        line.offer_wheel(
            "native", files={"native.py": b"here = True\n"}, tag="cp310-cp310-manylinux_2_17_x86_64"
        )
        line.offer_wheel("robotic", files={"robotic.py": b""}, tag="cp310-cp310-manylinux_2_17_armv7l")
        write_tree(line.folder / "lab", own_project("lab", requires=("six<2", "native", "robotic")))
        yield line


def test_a_script_runs_in_the_emulated_environment_and_sees_nothing_else(crosswheel: CommandLine) -> None:
    folder = crosswheel.folder / "scripts"
    secret = crosswheel.folder / "secret.txt"
    secret.write_text("nobody's")
    write_tree(folder, {"script.py": SCRIPT.format(secret=str(secret)), "words.txt": "beside it"})
    done = crosswheel.run("run", "--with", "./lab", "scripts/script.py", "--flag", "x")
    assert done.returncode == 3, done.output
    assert done.output.splitlines()[-3:] == ["armv7l 3.10.8 ['--flag', 'x'] 42", "beside it", "False"]
    crosswheel.run("run", "nosuch.py").explains(2, "there is no script nosuch.py")


def test_a_twin_has_the_robots_versions_and_names_what_differs(crosswheel: CommandLine) -> None:
    done = crosswheel.run("twin", "./lab", "--no-image", "--output", "lab-twin")
    assert done.returncode == 0, done.output
    assert "native code is another build of the same release" in done.words
    assert "robotic 1.0 is missing: no wheel of it is for this machine" in done.words
    program = "import importlib.metadata as m, native; print(m.version('six'), m.version('lab'), native.here)"
    python = crosswheel.folder / "lab-twin/bin/python"
    said = subprocess.run([python, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout == "1.0 1.0 True\n"
    crosswheel.run("twin", "./lab", "--output", "lab-twin").explains(2, "is there already")
