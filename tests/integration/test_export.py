"""What is exported of proven wheels: the target's pip takes it in hash-checking mode, and uv synchronises from it."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.pylock import Pylock
from uv import find_uv_bin

from crosswheel import targets
from crosswheel.process import Runner
from crosswheel.settings import Settings
from crosswheel.toolchain.environment import toolchain_for
from crosswheel.uv import Uv
from support import projects
from support.command_line import CommandLine, command_line
from support.robot import robot_for
from support.static_server import serving

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DEMO = "demo-1.0-cp310-cp310-linux_armv7l.whl"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """A compiled package that requires a taken one, built and indexed."""
    with command_line(tmp_path_factory.mktemp("export")) as line:
        line.offer_real("setuptools", "75.8.0")
        line.offer_wheel("pure", files={"pure.py": b"value = 42\n"})
        line.offer_sdist(projects.c_project(), requires="pure")
        line.recipe('as_of="2024-12-31"')
        for words in (["lock"], ["build"]):
            done = line.run(*words)
            assert done.returncode == 0, done.output
        yield line


def test_the_targets_pip_installs_what_is_exported_and_nothing_with_other_bytes(
    built: CommandLine, tmp_path: Path
) -> None:
    file = built.folder / "requirements.txt"
    assert built.run("export", "demo==1.0", "-o", str(file)).returncode == 0
    target, settings = targets.load("ot2"), Settings.from_environment()
    robot = robot_for(target, tmp_path, settings, Runner(log=tmp_path / "log.txt"))
    shutil.copy(file, robot.var / "requirements.txt")
    with serving(built.folder / "index") as server:
        words = ("--require-hashes", "-r", robot.var / "requirements.txt")
        done = robot.pip_install(*words, index=f"{server.url}/simple/")
        assert [f"{item.name} {item.version}" for item in done.packages] == ["demo 1.0", "pure 1.0"]
        assert "42" in robot.python("-c", "import _demo, pure; print(_demo.add(pure.value, 0))").output
        spoilt = re.sub(r"sha256:(\w+)", lambda match: f"sha256:{match[1][::-1]}", file.read_text())
        (robot.var / "requirements.txt").write_text(spoilt)
        refused = robot.pip_install("--force-reinstall", *words, index=f"{server.url}/simple/", check=False)
    assert refused.result.returncode != 0
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in refused.result.output


def test_uv_synchronises_from_the_exported_pylock(built: CommandLine, tmp_path: Path) -> None:
    done = built.run("export", "demo==1.0", "--format", "pylock", "-o", "pylock.ot2.toml")
    assert done.returncode == 0, done.output
    lock = Pylock.from_dict(tomllib.loads((built.folder / "pylock.ot2.toml").read_text()))
    assert [package.name for package in lock.packages] == ["demo", "pure"]
    settings = Settings.from_environment()
    uv = Uv(settings, Runner(log=tmp_path / "log.txt"))
    interpreter = toolchain_for(targets.load("ot2"), settings).interpreter  # answers as the robot does
    site = tmp_path / "site"
    words = ["pip", "sync", "--preview", "--python", interpreter, "--target", site]
    uv.runner.run([find_uv_bin(), *words, built.folder / "pylock.ot2.toml"], env=uv._environment())
    assert sorted(path.name for path in site.glob("*.dist-info")) == [
        "demo-1.0.dist-info",
        "pure-1.0.dist-info",
    ]
    assert list(site.glob("_demo.cpython-310-arm-linux-gnueabihf.so"))


def test_addresses_on_a_served_index_are_written_and_a_wheel_that_it_lacks_is_told(
    built: CommandLine,
) -> None:
    words = (
        "export",
        "demo==1.0",
        "--format",
        "pylock",
        "--index-root-url",
        "https://wheels.example.org/lab",
    )
    done = built.run(*words)
    assert f'"https://wheels.example.org/lab/simple/demo/{DEMO}"' in done.output
    built.run(*words, "--index-tree-root", "packages").explains(2, "is not in the index")
    built.run("export", "nosuch").explains(2, "no lock for ot2 satisfies nosuch")
