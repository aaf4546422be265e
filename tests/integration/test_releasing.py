"""The wheels of a project for a release: alone, with a legal tag, built and tested as its own settings say."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from uv import find_uv_bin

from crosswheel.wheels.reading import WheelFile
from support import projects
from support.command_line import CommandLine, command_line
from support.projects import SETUPTOOLS, pyproject, write_tree

WHEEL = "demo_lib-1.0-cp310-cp310-{}_armv7l.whl"
SETTINGS = """
    skip = "cp311-*"
    before-build = ["pip install helper", "python {project}/generate.py"]
    test-command = "shout && python {project}/tests/check.py"
    test-requires = "shouting"
    environment = { ANSWER = "42" }
    build-verbosity = 1
"""
CHECK = """
import os, subprocess, sys, demo_lib, needed
assert demo_lib.add(40, 2) == int(os.environ["ANSWER"]) and demo_lib.bits() == 32
code = "import platform, demo_lib; print(platform.machine())"
for options in ([], ["-I"]):
    assert subprocess.check_output([sys.executable, *options, "-c", code]) == b"armv7l\\n"
assert os.listdir() == ["shouted"]
"""


@pytest.fixture
def crosswheel(tmp_path: Path) -> Iterator[CommandLine]:
    with command_line(tmp_path) as line:
        line.offer_real("setuptools", "75.8.0")
        yield line


def library(crosswheel: CommandLine, settings: str = SETTINGS) -> Path:
    """Write a project with an extension that another program has to complete first; it needs one of the registry."""
    crosswheel.offer_wheel("helper", files={"helper.py": b"NAME = 'demo_lib'\n"})
    crosswheel.offer_wheel("needed", files={"needed.py": b""})
    scripts = {"shouting-1.0.dist-info/entry_points.txt": b"[console_scripts]\nshout = shouting:main\n"}
    main = b"def main(): open('shouted', 'w')\n"
    crosswheel.offer_wheel("shouting", files={"shouting.py": main, **scripts})
    # Of what only runs the tests, a pure wheel will do, though others are native: its source would not build.
    crosswheel.offer_wheel("shouting", files={}, tag="cp310-cp310-manylinux_2_17_x86_64")
    crosswheel.offer_sdist({"setup.py": "raise SystemExit('not here')"}, "shouting")
    about = "name = 'demo-lib'\nversion = '1.0'\ndependencies = ['needed']\nreadme = 'README.md'\n"
    files = {
        "pyproject.toml": pyproject(
            SETUPTOOLS, project=about, tool__setuptools="py-modules = []", tool__cibuildwheel=settings
        ),
        "setup.py": projects.setup_py('Extension("demo_lib", ["demo_lib.c"])').replace("name='demo', ", ""),
        "README.md": "# Demo\n",
        "template.c": projects.C_SOURCE.replace("_demo", "@NAME@"),
        "generate.py": "import helper\ntext = open('template.c').read().replace('@NAME@', helper.NAME)\n"
        "open('demo_lib.c', 'w').write(text)\n",
        "tests/check.py": CHECK,
    }
    return write_tree(crosswheel.folder / "lib", files)


def test_a_release_wheel_has_a_legal_tag_was_tested_by_its_own_command_and_is_alone(
    crosswheel: CommandLine,
) -> None:
    folder = library(crosswheel)
    built = crosswheel.run("build", "./lib", "--no-deps", "--tag", "manylinux")
    assert built.returncode == 0, built.output
    assert "these change nothing here: build-verbosity." in built.words
    name = WHEEL.format("manylinux_2_17")
    assert crosswheel.wheels() == [name]
    (wheel,) = crosswheel.folder.glob("dist/*/*/*.whl")
    proof = json.loads(wheel.with_name(f"{name}.ot2.proof.json").read_text())
    assert (proof["tests"], proof["cpu"]) == (["test-command"], "generic+v7a+vfp3d16")
    assert WheelFile.open(wheel).oddities == ()
    twine = subprocess.run(
        [find_uv_bin(), "tool", "run", "--from", "twine==6.2.0", "twine", "check", "--strict", str(wheel)],
        env=os.environ,
        capture_output=True,
        text=True,
    )
    assert twine.returncode == 0, twine.stdout + twine.stderr
    # One that fails on the target is refused, although the wheel itself is in the cache.
    text = (folder / "pyproject.toml").read_text()
    (folder / "pyproject.toml").write_text(text.replace('ANSWER = "42"', 'ANSWER = "43"'))
    refused = crosswheel.run("build", "./lib", "--no-deps", "--tag", "manylinux")
    refused.explains(1, "its test command fails on the target (exit code 1): shout &&", "AssertionError")


def test_the_action_s_step_builds_what_its_inputs_name_and_tells_the_workflow(
    crosswheel: CommandLine,
) -> None:
    crosswheel.offer_wheel("needed", files={"needed.py": b""})
    write_tree(crosswheel.folder / "lib", projects.own_project("plain", requires=("needed",)))
    told = {name: crosswheel.folder / name for name in ("output", "summary", "temp")}
    inputs = {"PACKAGES": "./lib\n", "TARGETS": "ot2", "TAG": "manylinux", "DEPS": "false"}
    step = subprocess.run(
        [Path(__file__).parents[2] / "scripts/action"],
        cwd=crosswheel.folder,
        env=crosswheel.environment(
            **{f"INPUT_{name}": text for name, text in inputs.items()},
            INPUT_OPTIONS="--as-of=2025-06-01\n",
            GITHUB_OUTPUT=str(told["output"]),
            GITHUB_STEP_SUMMARY=str(told["summary"]),
            RUNNER_TEMP=str(told["temp"]),
        ),
        capture_output=True,
        text=True,
    )
    assert step.returncode == 0, step.stdout + step.stderr
    outputs = dict(line.split("=", 1) for line in told["output"].read_text().splitlines())
    assert [path.name for path in Path(outputs["wheels"]).iterdir()] == ["plain-1.0-py3-none-any.whl"]
    assert (Path(outputs["index"]) / "simple/plain/index.html").is_file()
    assert "plain" in told["summary"].read_text()


def test_the_settings_of_a_project_leave_a_machine_out_and_the_others_are_built(
    crosswheel: CommandLine,
) -> None:
    library(crosswheel, 'skip = "*_armv7l"')
    crosswheel.run("build", "./lib", "--no-deps").explains(
        2, "leave out cp310-manylinux_armv7l: it is not built for ot2"
    )
    crosswheel.run("build", "--no-deps").explains(2, "--no-deps needs a project or package")
    sdk = ("--tag", "manylinux", "--sdk", "sdk")
    crosswheel.run("build", "./lib", *sdk).explains(2, "an SDK compiles for its own machine's alone")
    (crosswheel.folder / "r.txt").write_text("needed\n")
    crosswheel.run("build", "needed", "-r", "r.txt", "--no-deps").explains(
        2, "name the project or the package"
    )
