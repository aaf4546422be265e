"""Programs of a newer Debian run on an older host: with the loader and the C library that come with them."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

from crosswheel.debian import newer_glibc
from crosswheel.debian.newer_glibc import load_from, needs_libc
from crosswheel.errors import MissingToolError
from crosswheel.process import Runner

MULTIARCH = sysconfig.get_config_var("MULTIARCH") or "x86_64-linux-gnu"


def loaded(program: Path) -> set[str]:
    """Return the files that a program, which prints its mappings, has loaded."""
    done = subprocess.run([program, "/proc/self/maps"], capture_output=True, text=True, check=True)
    return {line.split()[-1] for line in done.stdout.splitlines() if ".so" in line}


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """Return a folder as unpacked packages leave it: a program, its libraries and the host's own loader."""
    folder = tmp_path / "unpacked"
    for name in ("usr/bin", f"lib/{MULTIARCH}"):
        (folder / name).mkdir(parents=True)
    shutil.copy(str(shutil.which("cat")), folder / "usr/bin/cat")
    files = {file for file in loaded(Path(str(shutil.which("cat")))) if file.startswith("/")}
    for file in files:
        shutil.copy(file, folder / f"lib/{MULTIARCH}")
    if not list(folder.glob("lib/*/ld-linux*")):
        pytest.skip("this machine has no glibc")
    return folder


def test_a_program_loads_what_was_unpacked_with_it_wherever_that_ends_up(
    unpacked: Path, tmp_path: Path
) -> None:
    final = tmp_path / "final"
    load_from(unpacked, final, Runner())
    unpacked.rename(final)
    files = loaded(final / "usr/bin/cat")
    assert files
    assert {str(Path(file).parent) for file in files} == {f"{final}/lib/{MULTIARCH}"}


def test_a_program_that_is_not_told_loads_the_hosts(unpacked: Path) -> None:
    assert not [file for file in loaded(unpacked / "usr/bin/cat") if file.startswith(str(unpacked))]


def test_packages_without_a_loader_are_explained(tmp_path: Path) -> None:
    with pytest.raises(MissingToolError, match="need a newer C library than this machine's glibc"):
        load_from(tmp_path, tmp_path, Runner())


@pytest.mark.parametrize(("version", "needed"), [("glibc 2.31", True), ("glibc 2.36", False), ("", True)])
def test_only_hosts_with_an_older_c_library_need_it(
    monkeypatch: pytest.MonkeyPatch, version: str, needed: bool
) -> None:
    monkeypatch.setattr(newer_glibc.os, "confstr", lambda name: version)
    assert needs_libc() is needed
