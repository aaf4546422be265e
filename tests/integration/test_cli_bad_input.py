"""Bad input on the real command line: one clear message with what to do, the right exit code, nothing lost."""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import signal
import stat
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from crosswheel import targets
from crosswheel.emulation.emulator import installed_qemu
from support import projects
from support.command_line import CLOSED, CommandLine, command_line
from support.processes import Lifeline, lifeline
from support.small_disk import run_on_small_disk

DEMO = "demo-1.0-cp310-cp310-linux_armv7l.whl"
GITHUB = 'source=package_build.github_source(org="org", repo="demo", tag="1.0"{})'
ARCHIVE = "/org/demo/archive/refs/tags/1.0.zip"
TODAY = 'as_of="2024-12-31"'


@pytest.fixture
def crosswheel(tmp_path: Path) -> Iterator[CommandLine]:
    with command_line(tmp_path) as line:
        yield line


@pytest.fixture
def locked(crosswheel: CommandLine) -> CommandLine:
    """A command line whose only recipe is of a pure package, locked: no compiler is needed."""
    crosswheel.offer_wheel("demo", files={"demo.py": b""})
    crosswheel.recipe(TODAY)
    assert crosswheel.run("lock").returncode == 0
    return crosswheel


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# What is asked for


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["build", "--flag"], "No such option"),
        (["bulid"], "No such command"),
        (["build", "--build-type", "all"], "'all' is not one of 'packages-only', 'index-only', 'both'"),
        (["build", "--container-source", "sky"], "'sky' is not one of"),
        (["check"], "Missing argument"),
    ],
)
def test_an_unknown_flag_or_command_is_named(
    crosswheel: CommandLine, words: list[str], expected: str
) -> None:
    done = crosswheel.run(*words, COLUMNS="200")
    assert done.returncode == 2
    assert expected in done.words
    assert "-h' for help" in done.words


@pytest.mark.parametrize("command", ["build", "plan", "lock", "doctor"])
def test_an_unknown_target_is_answered_with_the_known_ones(crosswheel: CommandLine, command: str) -> None:
    crosswheel.recipe()
    crosswheel.run(command, "--target", "ot3").explains(
        2, "there is no target named 'ot3'", "known targets: ", "ot2"
    )


def test_a_target_file_with_a_mistake_is_answered_with_the_key(crosswheel: CommandLine) -> None:
    (crosswheel.folder / "mine.toml").write_text('name = "mine"\n[abi]\nbits = 31\n')
    crosswheel.recipe()
    crosswheel.run("build", "--target", "mine.toml").explains(
        2, "abi.bits: Input should be 32 or 64", "not 31"
    )


def test_an_unknown_package_is_named(crosswheel: CommandLine) -> None:
    crosswheel.recipe()
    crosswheel.run("build", "no-such-package==1.0").explains(2, "no-such-package")
    assert crosswheel.wheels() == []


def test_what_is_no_requirement_is_named(crosswheel: CommandLine) -> None:
    (crosswheel.folder / "packages").mkdir()
    for command in ("build", "add"):
        crosswheel.run(command, "demo=1").explains(2, "'demo=1' is not a requirement")


def test_a_day_that_is_none_is_named(crosswheel: CommandLine) -> None:
    crosswheel.recipe()
    crosswheel.run("build", "demo", "--as-of", "yesterday").explains(
        2, "'yesterday' is not a day", "YYYY-MM-DD"
    )


def test_a_file_of_requirements_that_is_not_there_is_named(crosswheel: CommandLine) -> None:
    crosswheel.recipe()
    crosswheel.run("build", "-r", "absent.txt").explains(2, "absent.txt cannot be read")


def test_a_folder_of_recipes_that_is_not_there_is_named(crosswheel: CommandLine) -> None:
    for command in ("build", "plan", "lock"):
        crosswheel.run(command, "--recipes", "absent").explains(
            2, "there is no folder of recipes", "--recipes"
        )


# Recipes and locks


def test_a_recipe_with_an_error_is_named_with_file_and_line(crosswheel: CommandLine) -> None:
    file = crosswheel.recipe("optimise='s'")
    for command in ("build", "plan", "lock"):
        crosswheel.run(command).explains(2, f"{file}, line 2: ", "optimise", "what to do: mend that line")
    file.write_text("import os\n\ndef broken(:\n")
    crosswheel.run("build").explains(2, f"{file}, line 3: ")


def test_a_lock_that_is_missing_is_answered_with_the_command_that_makes_it(crosswheel: CommandLine) -> None:
    crosswheel.recipe(TODAY)
    for command in ("build", "plan"):
        crosswheel.run(command).explains(2, "there is no lock", "make it with `crosswheel lock`")


def test_a_lock_that_does_not_fit_is_refused_and_kept(locked: CommandLine) -> None:
    locked.recipe('as_of="2025-01-31", requirements=["demo", "more"]')
    before = tree(locked.folder / "packages")
    for command in ("build", "plan"):
        done = locked.run(command)
        done.explains(2, "no longer fits its recipe", "as-of: the lock has '2024-12-31'", "`crosswheel lock`")
        assert "requirements: the lock has 'demo==1.0', the recipe and target say 'demo, more'" in done.words
    assert tree(locked.folder / "packages") == before
    assert locked.wheels() == []


def test_a_lock_that_is_damaged_is_named_with_the_line(locked: CommandLine) -> None:
    lock = locked.folder / "packages/demo/1.0/ot2.lock"
    lock.write_text(lock.read_text().replace("demo==1.0", "demo=1.0"))
    locked.run("build").explains(2, "ot2.lock: 'demo=1.0' is not an exact requirement")


@pytest.mark.parametrize(
    "text", ["", "# as-of: today\n# requirements: demo\n", "# as-of: 2024-12-31\n# requirements: a b\n"]
)
def test_a_lock_alone_that_does_not_say_what_it_is_for_is_named(crosswheel: CommandLine, text: str) -> None:
    """A folder with a lock and no recipe is a root as well."""
    folder = crosswheel.folder / "packages/demo/1.0"
    folder.mkdir(parents=True)
    (folder / "ot2.lock").write_text(text)
    crosswheel.run("build").explains(2, "ot2.lock")


def test_requirements_without_a_solution_tell_which_package_wants_what(locked: CommandLine) -> None:
    locked.offer_wheel("alpha", requires="shared<2")
    locked.offer_wheel("beta", requires="shared>=2")
    locked.offer_wheel("shared", "1.0")
    locked.offer_wheel("shared", "2.0")
    before = tree(locked.folder / "packages/demo/1.0")
    locked.recipe(f'{TODAY}, requirements=["alpha", "beta"]')
    done = locked.run("lock")
    done.explains(2, "no set of releases satisfies alpha, beta for ot2 as of 2024-12-31")
    assert re.search(r"alpha\S* depends? on shared<2", done.words), done.output
    assert re.search(r"beta\S* depends? on shared>=2", done.words), done.output
    after = tree(locked.folder / "packages/demo/1.0")
    assert after["ot2.lock"] == before["ot2.lock"]


def test_a_package_without_a_usable_source_is_named_with_the_reason(crosswheel: CommandLine) -> None:
    """The resolver, which is asked first, already knows that it loads nowhere."""
    crosswheel.offer_wheel("demo", tag="cp310-cp310-manylinux_2_28_armv7l")
    crosswheel.recipe(TODAY)
    crosswheel.run("lock").explains(2, "demo==1.0", "no wheels with a matching platform tag")


def test_a_release_whose_source_was_withdrawn_is_named_with_the_reason(crosswheel: CommandLine) -> None:
    crosswheel.offer_sdist(projects.c_project())
    wheel = crosswheel.offer_wheel("demo", tag="cp310-cp310-manylinux_2_28_armv7l")
    crosswheel.offer_real("setuptools", "75.8.0")
    crosswheel.recipe(TODAY)
    assert crosswheel.run("lock").returncode == 0
    (crosswheel.registry.server.folder / "simple/demo/index.json").unlink()
    crosswheel.registry.add(wheel)
    shutil.rmtree(crosswheel.cache / "registry")
    for command in ("plan", "build"):
        done = crosswheel.run(command)
        done.explains(
            2, "demo==1.0 has neither a wheel that loads on ot2 nor an sdist", "manylinux_2_28_armv7l"
        )
    assert crosswheel.wheels() == []


# What is fetched


def test_without_network_one_message_says_so(crosswheel: CommandLine, tmp_path: Path) -> None:
    """From an empty cache: the target's Python is what is wanted first."""
    crosswheel.recipe(GITHUB.format(""))
    empty = {
        "CROSSWHEEL_CACHE": str(tmp_path / "empty"),
        "CROSSWHEEL_GITHUB_URL": CLOSED,
        "UV_DEFAULT_INDEX": CLOSED,
    }
    for words in (["build"], ["build", "demo"], ["build", "--prep-container-only"]):
        done = crosswheel.run(*words, **empty)
        done.explains(2, "could not be downloaded")
        assert len(done.output.splitlines()) < 12, done.output
    assert crosswheel.wheels() == []


def test_without_network_the_source_that_is_missing_is_named(crosswheel: CommandLine) -> None:
    crosswheel.recipe(GITHUB.format(""))
    done = crosswheel.run("build", CROSSWHEEL_GITHUB_URL=CLOSED)
    done.explains(
        2, "failed: demo 1.0: 1.0.zip could not be downloaded from 127.0.0.1", "check the connection"
    )
    assert crosswheel.wheels() == []


def test_without_network_the_registry_is_named_and_the_lock_stays(locked: CommandLine) -> None:
    before = tree(locked.folder / "packages")
    shutil.rmtree(locked.cache / "uv")
    locked.run("lock", UV_DEFAULT_INDEX=CLOSED).explains(2, "the registry could not be asked about demo==1.0")
    assert tree(locked.folder / "packages") == before
    locked.run("build", UV_DEFAULT_INDEX=f"{CLOSED}/simple").explains(2, "demo", "could not be downloaded")


def test_offline_mode_says_what_is_not_cached(locked: CommandLine) -> None:
    shutil.rmtree(locked.cache / "registry")
    locked.run("build", CROSSWHEEL_OFFLINE="1").explains(2, "offline mode is on, and ", "is not cached")


def test_a_hash_in_the_recipe_that_is_wrong_stops_the_build(crosswheel: CommandLine) -> None:
    crosswheel.offer_on_github(projects.c_project())
    right = hashlib.sha256(crosswheel.github.bodies[ARCHIVE]).hexdigest()
    crosswheel.recipe(GITHUB.format(f", sha256='{'0' * 64}'"))
    crosswheel.run("build").explains(2, f"expected sha256 {'0' * 64}", f"received sha256 {right}")
    assert crosswheel.wheels() == []
    assert not list((crosswheel.folder / "build/demo/1.0/download").iterdir())
    crosswheel.recipe(GITHUB.format(f", git_tree='{'0' * 40}'"))
    crosswheel.run("build").explains(2, f"not {'0' * 40} as the recipe says")


def test_a_fallback_does_not_take_the_place_of_a_source_with_the_wrong_hash(crosswheel: CommandLine) -> None:
    crosswheel.offer_on_github(projects.c_project())
    crosswheel.offer_sdist(projects.c_project())
    fallback = "fallback=package_build.pypi_source(name='demo', version='1.0')"
    crosswheel.recipe(f"{GITHUB.format(f', sha256={chr(39)}{chr(48) * 64}{chr(39)}')}, {fallback}")
    crosswheel.run("build").explains(2, "expected sha256 000")


def test_a_hash_in_the_lock_that_no_file_has_is_told(locked: CommandLine) -> None:
    lock = locked.folder / "packages/demo/1.0/ot2.lock"
    right = lock.read_text().split("sha256:")[1][:64]
    lock.write_text(lock.read_text().replace(right, "0" * 64))
    locked.run("build").explains(
        2, "none of the registry's files of demo==1.0 has a hash that the lock names"
    )
    assert locked.wheels() == []


def test_a_wheel_that_is_not_what_the_lock_names_is_refused(locked: CommandLine) -> None:
    """The registry tells the right hash, and sends something else."""
    served = locked.registry.server.folder / "simple/demo/demo-1.0-py3-none-any.whl"
    right = served.read_bytes()
    served.write_bytes(right + b"more")
    done = locked.run("build")
    done.explains(2, "demo-1.0-py3-none-any.whl from 127.0.0.1 is not what was expected", "expected sha256")
    assert locked.wheels() == []
    served.write_bytes(right)
    assert locked.run("build").returncode == 0
    assert locked.wheels() == ["demo-1.0-py3-none-any.whl"]


def test_a_download_that_ends_early_is_not_taken_for_whole(crosswheel: CommandLine) -> None:
    crosswheel.offer_on_github(projects.c_project())
    crosswheel.github.truncated.add(ARCHIVE)
    crosswheel.recipe(GITHUB.format(""))
    crosswheel.run("build").explains(2, "1.0.zip could not be downloaded")
    assert not list((crosswheel.folder / "build/demo/1.0/download").iterdir())


def zip_of(*members: tuple[zipfile.ZipInfo, bytes]) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("demo-1.0/setup.py", "")
        for info, content in members:
            archive.writestr(info, content)
    return written.getvalue()


def link(name: str, to: str) -> tuple[zipfile.ZipInfo, bytes]:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return info, to.encode()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (zip_of()[:-30], "cannot be unpacked"),
        (zip_of((zipfile.ZipInfo("demo-1.0/../../../escaped"), b"")), "escaped"),
        (zip_of((zipfile.ZipInfo("/tmp/crosswheel-escaped"), b"")), "escaped"),
        (zip_of(link("demo-1.0/out", "/etc"), (zipfile.ZipInfo("demo-1.0/out/escaped"), b"")), "out"),
    ],
    ids=["truncated", "parent", "absolute", "link"],
)
def test_a_damaged_or_malicious_archive_is_refused_and_not_kept(
    crosswheel: CommandLine, body: bytes, said: str
) -> None:
    crosswheel.github.bodies[ARCHIVE] = body
    crosswheel.recipe(GITHUB.format(""))
    done = crosswheel.run("build")
    done.explains(2, "failed: demo 1.0: ", said)
    assert crosswheel.wheels() == []
    assert not [path for path in crosswheel.folder.parent.rglob("*escaped*") if "packages" not in path.parts]
    assert not Path("/tmp/crosswheel-escaped").exists()
    assert not list((crosswheel.folder / "build/demo/1.0/download").iterdir())
    assert not (crosswheel.folder / "build/demo/1.0/unpack").exists()


def test_a_malicious_sdist_is_refused_and_not_kept(crosswheel: CommandLine) -> None:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz") as archive:
        for name in ("demo-1.0/setup.py", "demo-1.0/../../escaped"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    crosswheel.github.bodies["/demo-1.0.tar.gz"] = written.getvalue()
    digest = hashlib.sha256(written.getvalue()).hexdigest()
    crosswheel.recipe(
        f"package_build.url_source(url='{crosswheel.github.url}/demo-1.0.tar.gz', sha256='{digest}')"
    )
    crosswheel.run("build").explains(2, "failed: demo 1.0: ", "escaped")
    assert not list(crosswheel.folder.rglob("escaped"))


# What is on this machine


def test_a_full_disk_is_told_and_nothing_is_half_written(locked: CommandLine, tmp_path: Path) -> None:
    locked.offer_wheel("big", files={"big.bin": os.urandom(1 << 20)})
    locked.recipe(f'{TODAY}, requirements=["demo", "big"]')
    assert locked.run("lock").returncode == 0
    disk = tmp_path / "disk"
    words = [str(locked.command), "build", "--dist-tree-root", str(disk / "dist")]
    done = run_on_small_disk(words, disk, 600, env=locked.environment(), cwd=locked.folder)
    said = " ".join((done.stdout + done.stderr).split())
    assert "Traceback" not in said
    assert done.returncode == 2, said
    assert "the disk is full: " in said
    assert "free some space" in said
    left = [path.name for path in disk.rglob("*") if path.is_file()]
    assert [name for name in left if name.endswith(".whl")] == ["demo-1.0-py3-none-any.whl"]
    assert not [name for name in left if name.startswith(".") or "big" in name]
    assert locked.run("build").returncode == 0  # with room, it goes on
    assert len(locked.wheels()) == 2


@pytest.mark.parametrize(
    "words",
    [["--dist-tree-root"], ["demo", "--build-tree-root"], ["--index-tree-root"]],
    ids=["dist", "build", "index"],
)
def test_a_folder_that_cannot_be_written_is_named(locked: CommandLine, words: list[str]) -> None:
    (locked.folder / "file").touch()
    done = locked.run("build", *words, "file/below")
    done.explains(2, "file")
    assert (locked.folder / "file").read_bytes() == b""


def test_a_cache_that_cannot_be_written_is_named(locked: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    locked.run("build", CROSSWHEEL_CACHE=str(tmp_path / "file")).explains(2, "CROSSWHEEL_CACHE")


def test_a_file_for_the_output_that_cannot_be_written_is_named(locked: CommandLine) -> None:
    locked.run("build", "--output", "packages").explains(2, "packages")


def test_a_missing_tool_is_named_with_what_to_do(crosswheel: CommandLine, tmp_path: Path) -> None:
    """git, for a source that is a repository; qemu, where there is neither one nor Debian's packages of it."""
    nothing, emulator = tmp_path / "nothing", tmp_path / "emulator"
    for folder in (nothing, emulator):
        folder.mkdir()
    installed = installed_qemu(targets.load("ot2"))
    if installed:
        (emulator / installed.name).symlink_to(installed)
    crosswheel.recipe("package_build.git_source(url='file:///absent', ref='main')")
    crosswheel.run("build", PATH=str(emulator)).explains(2, "failed: demo 1.0: ", "git")
    for name in ("qemu-user", "roots", "debian"):
        (crosswheel.cache / name).unlink()
    crosswheel.run("build", "--prep-container-only", PATH=str(nothing)).explains(
        2, "no mirror of Debian is known"
    )
    shutil.rmtree(crosswheel.folder / "packages")
    for name in ("one", "two", "three"):
        crosswheel.offer_wheel(name, files={f"{name}.py": b""})
    done = crosswheel.run("build", "one", "two", "three", PATH=str(nothing))
    done.explains(2, "no mirror of Debian is known")
    assert done.words.count("no mirror of Debian is known") == 1, done.output
    told = crosswheel.run("doctor", PATH=str(nothing)).words
    assert "CROSSWHEEL_DEBIAN_URL" in told
    assert "Other targets, for --target: debian-arm64, debian-armel, " in told


# Stopping


@pytest.fixture
def line(crosswheel: CommandLine) -> Iterator[Lifeline]:
    folder = crosswheel.folder / "build" / "demo" / "1.0"  # of all folders, a build sees its own
    folder.mkdir(parents=True)
    with lifeline(folder) as held:
        yield held


@pytest.mark.parametrize(("command", "number"), [("build", signal.SIGINT), ("lock", signal.SIGTERM)])
def test_stopping_ends_all_children_leaves_nothing_half_written_and_the_next_run_goes_on(
    crosswheel: CommandLine, line: Lifeline, command: str, number: signal.Signals
) -> None:
    """The backend holds the line, tells that it runs, and would run for ever."""
    gate = line.path.with_name("gate")
    gate.touch()
    stuck = "\n".join(
        [
            "import os, subprocess",
            f"if os.path.exists({str(gate)!r}):",
            f"    os.open({str(line.path)!r}, os.O_WRONLY)",
            "    print('it runs', flush=True)",
            "    subprocess.run(['sleep', '100000'])",
            "",
        ]
    )
    crosswheel.offer_real("setuptools", "75.8.0")
    crosswheel.offer_sdist({**projects.c_project(), "setup.py": stuck + projects.setup_py()})
    crosswheel.recipe(TODAY)
    if command == "build":
        gate.unlink()
        assert crosswheel.run("lock").returncode == 0
        gate.touch()
    before = tree(crosswheel.folder / "packages")
    started = subprocess.Popen(
        [crosswheel.command, command, "--verbose"],
        cwd=crosswheel.folder,
        env=crosswheel.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert started.stdout is not None
    with started, started.stdout:
        assert any("it runs" in text for text in started.stdout)
        started.send_signal(number)
        said = started.stdout.read()
        assert started.wait(60) == 130
    assert "Traceback" not in said
    assert "error: stopped" in said
    assert "it goes on where it stopped" in " ".join(said.split())
    assert line.is_cut()
    assert tree(crosswheel.folder / "packages") == before
    assert crosswheel.wheels() == []
    gate.unlink()
    done = crosswheel.run(command)
    assert done.returncode == 0, done.output
    assert crosswheel.wheels() == ([DEMO] if command == "build" else [])
