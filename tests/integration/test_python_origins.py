"""Where a target's Python comes from, but for building one, which takes minutes: that is what bench/python is for."""

from __future__ import annotations

from pathlib import Path

import pytest

from crosswheel import targets
from crosswheel.check.elf_objects import read_object
from crosswheel.emulation.emulator import emulator_for
from crosswheel.files import sha256_of
from crosswheel.process import Runner
from crosswheel.settings import Settings
from crosswheel.toolchain.libraries.visibility import hidden_copy
from crosswheel.toolchain.python.cpython_source import source_archive
from support.crossing import Crossing, crossing_for

# What has to be loaded with libraries of the distribution that the emulated root has not.
MODULES = "_bz2, _ctypes, _curses, _decimal, _hashlib, _lzma, _sqlite3, _ssl, _uuid, pyexpat, readline, zlib"
USE = """
#include <zlib.h>
__attribute__((visibility("default"))) const char *PyDemo(void) { return zlibVersion(); }
int main(void) { return PyDemo()[0] != '1'; }
"""


def test_the_python_of_a_distribution_is_the_emulated_one(tmp_path: Path) -> None:
    target, settings, runner = targets.load("debian-armhf"), Settings.from_environment(), Runner()
    emulator = emulator_for(target, settings, runner)
    assert emulator.version.endswith(f"CPython {target.python.version}")
    asked = f"import {MODULES}, sys; print(sys.implementation._multiarch, sys.maxsize == 2**31 - 1)"
    assert emulator.run(runner, ["-c", asked]).lines[-1] == "arm-linux-gnueabihf True"


def test_the_source_of_a_python_is_what_its_authors_published(tmp_path: Path) -> None:
    source = targets.python_source("3.13")
    archive = source_archive(source, Settings.from_environment(), Runner())
    assert archive.name == "Python-3.13.5.tar.xz"
    assert sha256_of(archive) == source.sha256


@pytest.fixture(scope="module")
def crossing(tmp_path_factory: pytest.TempPathFactory) -> Crossing:
    return crossing_for(tmp_path_factory.mktemp("crossing"))


@pytest.mark.parametrize("hidden", [False, True])
def test_what_is_linked_with_a_hidden_archive_exports_none_of_its_names(
    crossing: Crossing, tmp_path: Path, hidden: bool
) -> None:
    (tmp_path / "use.c").write_text(USE)
    environment = crossing.environment(libraries=["zlib"])
    (zlib,) = environment.libraries
    if hidden:
        hidden_copy(zlib.prefix / "lib" / "libz.a", tmp_path / "libz.a")
    env = environment.for_hook(tmp_path / "venv", tmp_path, {})
    words = "$CC use.c -o use $CFLAGS -L. $LDFLAGS -lz -rdynamic"
    crossing.runner.run(["sh", "-ec", words], cwd=tmp_path, env=env)
    crossing.runner.run([*crossing.emulator.prefix, tmp_path / "use"], cwd=tmp_path)
    exported = read_object((tmp_path / "use").read_bytes()).exports.symbols
    assert "PyDemo" in exported
    assert ("zlibVersion" in exported) is not hidden
