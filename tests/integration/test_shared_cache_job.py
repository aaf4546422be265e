"""A cache that a team shares, with the real command: what one machine built, another takes and starts nothing for."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import projects
from support.command_line import CLOSED, CommandLine, command_line
from support.s3 import s3_server

TEST = "import _demo\nassert _demo.add(40, 2) == 42\n"


@pytest.fixture(scope="module")
def crosswheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    with command_line(tmp_path_factory.mktemp("team")) as line:
        line.offer_real("setuptools", "75.8.0")
        line.offer_wheel("pure", files={"pure.py": b""})
        line.offer_sdist(projects.c_project(), requires="pure")
        line.offer_sdist(
            projects.yaml_project("wants"), name="wants"
        )  # a C library, of which no recipe tells
        both = 'requirements=["demo==1.0", "wants==1.0"]'
        line.recipe(f'as_of="2024-12-31", tests=["test_add.py"], {both}', files={"test_add.py": TEST})
        line.variables["CROSSWHEEL_KEYS"] = str(line.folder / "keys")
        assert line.run("keys", "new").returncode == 0
        assert line.run("lock").returncode == 0
        yield line


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if request.param == "folder":
        yield str(tmp_path / "shared")
        return
    with s3_server(monkeypatch):
        yield "s3://robots/shared"


def elsewhere(folder: Path, **more: str) -> dict[str, str]:
    """Return the variables of a machine that has nothing and can get no tool: no emulator, no Python of the target."""
    (folder / "none.list").write_text("")
    return {
        "CROSSWHEEL_CACHE": str(folder / "empty"),
        "CROSSWHEEL_MAVEN_URL": CLOSED,
        "CROSSWHEEL_DEBIAN_SOURCES": str(folder / "none.list"),
        **more,
    }


def trees(folder: Path) -> list[str]:
    return [
        word for name in ("build", "dist", "index") for word in (f"--{name}-tree-root", str(folder / name))
    ]


def wheels(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("dist/**/*.whl")}


def test_another_machine_takes_all_and_starts_neither_compiler_nor_emulator(
    crosswheel: CommandLine, store: str, tmp_path: Path
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    there.mkdir()
    first = crosswheel.run("build", "--shared-cache", store, *trees(here))
    assert first.returncode == 0, first.output
    second = crosswheel.run("build", "--shared-cache", store, *trees(there), **elsewhere(there))
    assert second.returncode == 0, second.output
    assert "3 found" in second.output
    assert wheels(there) == wheels(here)
    assert "demo-1.0-cp310-cp310-linux_armv7l.whl" in wheels(there)
    (proof,) = (there / "dist/demo/1.0").glob("*.proof.json")
    told = json.loads(proof.read_text())
    assert (told["tests"], told["imported"]) == (["test_add"], ["_demo"])
    assert (there / "build/demo/1.0/build.log").is_file()
    assert (there / "index/simple/demo/index.html").is_file()
    assert {path.name for path in (there / "empty").iterdir()}.isdisjoint(
        {"zig", "python", "qemu-user", "emulators"}
    )
    # The next run need not ask for anything.
    third = crosswheel.run("build", "--shared-cache", str(there / "away"), *trees(there), **elsewhere(there))
    assert third.returncode == 0, third.output
    shown = crosswheel.run("cache", "show", "--shared-cache", store)
    assert "wheel 3" in shown.words, shown.output
    assert crosswheel.run("cache", "verify", "--shared-cache", store).returncode == 0


def test_what_is_damaged_there_is_built_here_and_stored_anew(crosswheel: CommandLine, tmp_path: Path) -> None:
    store, here = tmp_path / "shared", tmp_path / "here"
    words = ("build", "--shared-cache", str(store), *trees(here))
    assert crosswheel.run(*words).returncode == 0
    right = wheels(here)
    for blob in store.glob("blobs/*/*"):
        blob.write_bytes(blob.read_bytes()[:-1])
    for kept in crosswheel.cache.glob("made/" + "?" * 64):
        subprocess.run(["rm", "-r", kept], check=True)
    again = crosswheel.run(*words)
    assert again.returncode == 0, again.output
    assert "has something damaged, which is passed over" in again.words
    assert wheels(here) == right
    assert crosswheel.run("cache", "verify", "--shared-cache", str(store)).returncode == 0


def test_a_store_that_is_away_costs_a_warning(crosswheel: CommandLine, tmp_path: Path) -> None:
    done = crosswheel.run("build", "--shared-cache", CLOSED, *trees(tmp_path))
    assert done.returncode == 0, done.output
    assert f"the shared cache {CLOSED} could not be read" in done.words
    assert done.words.count("could not be read") == 1


def test_a_stranger_with_a_cache_of_the_same_store_changes_nothing(
    crosswheel: CommandLine, tmp_path: Path
) -> None:
    store = str(tmp_path / "shared")
    strangers = {"CROSSWHEEL_KEYS": str(tmp_path / "keys")}
    assert crosswheel.run("keys", "new", **strangers).returncode == 0
    theirs = crosswheel.run("build", "--shared-cache", store, *trees(tmp_path / "theirs"), **strangers)
    assert theirs.returncode == 0, theirs.output
    (tmp_path / "ours").mkdir()
    ours = crosswheel.run(
        "build", "--shared-cache", store, *trees(tmp_path / "ours"), **elsewhere(tmp_path / "ours")
    )
    ours.explains(2)  # nothing of theirs is taken, and nothing can be built there
    mine = crosswheel.run(
        "build", "--shared-cache", store, "--shared-cache-read-only", *trees(tmp_path / "mine")
    )
    assert mine.returncode == 0, mine.output
    assert (
        "7 records of keys that are not trusted here"
        in crosswheel.run("cache", "show", "--shared-cache", store).words
    )
