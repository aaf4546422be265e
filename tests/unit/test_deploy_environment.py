"""A locked, proven wheel as it is installed for a robot: as pip would, and free of the machine that installs it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from crosswheel.deploy.assembling import Assembler, LockedProgram, ProvenWheel
from crosswheel.deploy.bundle_wheel import BundleWheel
from crosswheel.deploy.bundles import write_program
from crosswheel.deploy.deploying import deploy
from crosswheel.deploy.release import Release
from crosswheel.deploy.ssh import Connection
from crosswheel.emulation.sites import trial_prefix
from crosswheel.errors import CheckFailed
from crosswheel.files import sha256_of
from crosswheel.lock import Pin
from crosswheel.process import Runner
from crosswheel.settings import Settings
from crosswheel.uv import Uv
from crosswheel.wheels.deflated import deflated_in
from crosswheel.wheels.proof import Proof
from crosswheel.wheels.writing import write_wheel
from support.releases import Here, place, this_machine
from support.wheels import deflated_at, make_wheel

_LAB = b"""
import pathlib, sys
def main():
    print(pathlib.Path(sys.prefix, "etc/lab/settings.json").read_text(), *sys.argv[1:])
"""
_FILES = {
    "lab.py": _LAB,
    "lab-1.data/purelib/more/__init__.py": b"",
    "lab-1.data/data/etc/lab/settings.json": b"{}",
    "lab-1.data/data/share/lab/a file.txt": b"text",
    "lab-1.data/headers/lab.h": b"/* */",
    "lab-1.data/scripts/lab-tool": b"#!python\nimport lab; lab.main()\n",
    "lab-1.data/scripts/lab-shell": b"#!/bin/sh\necho shell\n",
}
_POINTS = {"entry_points.txt": b"[console_scripts]\nlab = lab:main\nlab-two = lab:main\n"}


@pytest.fixture
def assembler(tmp_path: Path, request: pytest.FixtureRequest) -> Assembler:
    """Return what installs for this machine, from a cache of a given name."""
    cache = tmp_path / getattr(request, "param", "cache")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", cache / "interpreter"], check=True)
    made = Assembler(this_machine(), Settings.from_environment({"CROSSWHEEL_CACHE": str(cache)}), Runner())
    toolchain = SimpleNamespace(
        interpreter=cache / "interpreter/bin/python", host=SimpleNamespace(executable=Path(sys.executable))
    )
    made.__dict__["_toolchain"] = toolchain
    return made


def lab(folder: Path, assembler: Assembler, files: Mapping[str, bytes] = _FILES) -> Release:
    wheels = [proven(make_wheel(folder, "lab", "1", files, dist_info=_POINTS))]
    return assembler.release(LockedProgram("lab", "1", folder / "lock"), wheels, "lab")


def proven(wheel: Path) -> ProvenWheel:
    proof = Proof(
        wheel=wheel.name, sha256=sha256_of(wheel), target="ot2", origin="built", reason="", source=""
    )
    return ProvenWheel(Pin("lab", "1", frozenset()), wheel, proof)


def put(made: Release, robot: Path) -> None:
    with Connection(Here()) as connection:
        deploy(made, place(robot), connection, lambda text: None)


def said(program: Path, *words: str) -> str:
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_a_wheel_lies_in_an_environment_as_pip_would_install_it(tmp_path: Path, assembler: Assembler) -> None:
    made = lab(tmp_path, assembler)
    site, short = assembler._site, this_machine().python.short
    paths = {file.path for file in made.closure[0].files if "__pycache__" not in file.path}
    assert {path for path in paths if ".dist-info/" not in path} == {
        *(f"{site}/lab.py", f"{site}/more/__init__.py", f"include/site/python{short}/lab/lab.h"),
        *("etc/lab/settings.json", "share/lab/a file.txt"),
        *("bin/lab", "bin/lab-two", "bin/lab-tool", "bin/lab-shell"),
    }
    assert {file.path for file in made.closure[0].files if file.executable} == {
        *("bin/lab", "bin/lab-two", "bin/lab-tool", "bin/lab-shell")
    }


def test_what_is_not_sent_is_neither_compiled_nor_compressed(tmp_path: Path, assembler: Assembler) -> None:
    kept = replace(assembler, is_sent=False)
    kept.__dict__["_toolchain"] = assembler._toolchain
    (sent,), (unsent,) = lab(tmp_path, assembler).closure, lab(tmp_path, kept).closure
    compiled = {file.path for file in sent.files if file.path.endswith(".pyc")}
    assert len(compiled) == 2
    assert {file.path for file in unsent.files} == {file.path for file in sent.files} - compiled
    assert sent.packed.is_file()
    assert not unsent.packed.exists()


def tried(assembler: Assembler, wheel: ProvenWheel) -> Path:
    """Install a wheel as for a trial, and leave beside it what a trial without a sandbox might."""
    uv, python = Uv(assembler.settings, Runner()), assembler._toolchain.interpreter
    prefix = trial_prefix(assembler.settings.cache, wheel.proof.sha256, this_machine().python.short).make(
        lambda folder: uv.install_wheel(wheel.path, folder, python=python)
    )
    (prefix / assembler._site / "written-by-a-trial.txt").write_text("")
    return prefix


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return the bytes and the mode of each file below a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mode) for path in files}


def refuse(*paths: object) -> None:
    raise OSError


@pytest.mark.parametrize("is_sent", [True, False])
@pytest.mark.parametrize("can_link", [True, False])
def test_what_was_installed_for_a_trial_is_taken_from_there_and_stays_there_as_it_is(
    tmp_path: Path, assembler: Assembler, monkeypatch: pytest.MonkeyPatch, is_sent: bool, can_link: bool
) -> None:
    made = replace(assembler, is_sent=is_sent)
    made.__dict__["_toolchain"] = assembler._toolchain
    wheel = proven(make_wheel(tmp_path, "lab", "1", _FILES, dist_info=_POINTS))
    by_uv = made.package(wheel).folder
    by_uv.parent.rename(tmp_path / "by uv")
    prefix = tried(made, wheel)
    before = tree(prefix)
    monkeypatch.setattr(Uv, "install_wheel", refuse)
    if not can_link:
        monkeypatch.setattr("os.link", refuse)
    taken = made.package(wheel).folder
    assert tree(taken) == tree(tmp_path / "by uv" / taken.name)
    assert tree(prefix) == before
    module = f"{made._site}/lab.py"
    assert (taken / module).samefile(prefix / module) is can_link


def test_a_wheel_with_bytecode_of_its_own_and_a_damaged_trial_are_installed_by_uv(
    tmp_path: Path, assembler: Assembler
) -> None:
    made = replace(assembler, is_sent=False)
    made.__dict__["_toolchain"] = assembler._toolchain
    bytecode = f"__pycache__/lab.{sys.implementation.cache_tag}.pyc"
    wheel = proven(make_wheel(tmp_path / "1", "lab", "1", {"lab.py": _LAB, bytecode: b"its own"}))
    assert (tried(made, wheel) / made._site / bytecode).read_bytes() != b"its own"
    assert (made.package(wheel).folder / made._site / bytecode).read_bytes() == b"its own"
    wheel = proven(make_wheel(tmp_path / "2", "lab", "1", {"lab.py": _LAB}))
    (tried(made, wheel) / made._site / "lab.py").unlink()
    assert (made.package(wheel).folder / made._site / "lab.py").read_bytes() == _LAB


def test_a_bundle_wheel_has_its_files_as_they_are_deflated_in_their_wheels(
    tmp_path: Path, assembler: Assembler, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of the assembler that it makes of this one, too.
    monkeypatch.setattr(Assembler, "_toolchain", assembler._toolchain)
    long = b"".join(b"# %d\n" % number**2 for number in range(5000))
    files = {**_FILES, "lab.py": _LAB + long, "lab-1.data/purelib/more/__init__.py": long}
    wheel = deflated_at(1, make_wheel(tmp_path, "lab", "1", files, dist_info=_POINTS))
    bundle = BundleWheel(
        LockedProgram("lab", "1", tmp_path / "lock"), [proven(wheel)], tmp_path / "dist", assembler
    )
    paths = [tmp_path / name for name in ("bundle.whl", "again.whl")]
    for path in paths:
        write_wheel(path, bundle._members(), f"{bundle._base}.dist-info/RECORD")
    assert paths[0].read_bytes() == paths[1].read_bytes()
    installed = assembler.package(bundle.wheels[0])
    with zipfile.ZipFile(paths[0]) as archive, zipfile.ZipFile(wheel) as source:
        assert archive.testzip() is None
        for file in installed.files:
            if "__pycache__" not in file.path:
                assert (
                    archive.read(f"{bundle._home}/{file.path}") == (installed.folder / file.path).read_bytes()
                )
        with deflated_in(paths[0]) as ours, deflated_in(wheel) as theirs:
            for path in ("lab.py", "lab-1.data/purelib/more/__init__.py", "lab-1.dist-info/METADATA"):
                data = source.read(path)
                assert ours(data) == theirs(data) is not None, path
        # Ours, deflated at another level, would be of another size.
        size = archive.getinfo(f"{bundle._site}/lab.py").compress_size
        assert size == source.getinfo("lab.py").compress_size


# Installers begin programs in another way where the path of the interpreter has a space, or is long.
@pytest.mark.parametrize("assembler", ["cache", "my cache", "c" * 120], indirect=True)
def test_its_programs_run_on_the_robot_whatever_this_machine_calls_its_folders(
    tmp_path: Path, assembler: Assembler
) -> None:
    robot, made = tmp_path / "robot", lab(tmp_path, assembler)
    put(made, robot)
    (assembler.settings.cache / "interpreter").rename(tmp_path / "gone")
    current = robot / "store/environments/lab/current/bin"
    for program in (
        robot / "programs/lab",
        robot / "programs/lab-tool",
        current / "lab",
        current / "lab-tool",
    ):
        assert said(program, "a b") == "{} a b\n", program
    assert said(current / "lab-shell") == "shell\n"
    bundle = tmp_path / "lab.pyz"
    other = this_machine().model_copy(update={"robot": place(tmp_path / "other")})
    write_program(replace(made, target=other), bundle)
    subprocess.run([sys.executable, bundle, "install"], check=True)
    assert said(tmp_path / "other/programs/lab", "c") == "{} c\n"


def test_a_command_that_cannot_be_started_fails_without_being_run(
    tmp_path: Path, assembler: Assembler
) -> None:
    called = b"import pathlib\ndef main():\n    pathlib.Path('called').touch()\n"
    put(lab(tmp_path, assembler, {"lab.py": called}), tmp_path / "robot")
    assert not list(tmp_path.rglob("called"))
    with pytest.raises(CheckFailed, match="cannot import name 'main'"):
        put(lab(tmp_path / "2", assembler, {"lab.py": b"begin = None\n"}), tmp_path / "other")


@pytest.mark.parametrize("path", ["pyvenv.cfg", "launchers/lab", "release.json"])
def test_what_an_environment_has_by_itself_is_never_replaced(
    tmp_path: Path, assembler: Assembler, path: str
) -> None:
    with pytest.raises(CheckFailed, match=f"would put {path} into the environment"):
        lab(tmp_path, assembler, {"lab.py": _LAB, f"lab-1.data/data/{path}": b""})


@pytest.mark.parametrize("folder", ["interpreter", "sites/.0123-3.10.abcd/bin"])
def test_what_names_this_machine_is_not_put_on_a_robot(
    tmp_path: Path, assembler: Assembler, folder: str
) -> None:
    named = f"python = {str(assembler.settings.cache / folder)!r}\n".encode()
    with pytest.raises(CheckFailed, match=r"lab\S+ of lab 1 names .*, which no robot has"):
        lab(tmp_path, assembler, {"lab.py": named})
