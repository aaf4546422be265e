"""Fortran, and C++: which trees need it, and who gets which words of a call of its compiler."""

from __future__ import annotations

from pathlib import Path

import pytest

from crosswheel.toolchain.compilers.cxx import needs_cxx
from crosswheel.toolchain.compilers.fortran import needs_fortran
from crosswheel.toolchain.compilers.gfortran import split


@pytest.mark.parametrize("path", ["src/solve.f90", "a/b/c/BLAS.F", "old.for"])
def test_a_tree_with_fortran_needs_a_compiler_of_it(tmp_path: Path, path: str) -> None:
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).touch()
    assert needs_fortran(tmp_path)


@pytest.mark.parametrize(
    "path", ["f2py/tests/src/common.f", "doc/example.f90", "Benchmarks/a.f", "leaf.py", "a.ff"]
)
def test_what_no_wheel_is_made_of_needs_none(tmp_path: Path, path: str) -> None:
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).touch()
    assert not needs_fortran(tmp_path)


def test_a_tree_with_cxx_gets_the_library_of_it(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "made_up.cpp").touch()
    assert not needs_cxx(tmp_path)
    (tmp_path / "src.cc").touch()
    assert needs_cxx(tmp_path)


LINK = "-shared -o a.so one.F90 two.o -L /lib/x -lm -Wl,--as-needed"


def test_sources_are_compiled_and_the_rest_is_linked() -> None:
    found = split([*["-O2", "-J", "mods", "-fPIC"], *LINK.split()])
    assert found.links
    assert found.sources == ["one.F90"]
    assert found.compiling == ["-O2", "-J", "mods", "-fPIC"]
    assert found.linking == ["-fPIC", *LINK.split()]


@pytest.mark.parametrize(
    "words",
    [
        ["-c", "a.f90", "-o", "a.o"],
        ["--version"],
        ["-print-file-name=x.a"],
        ["-cpp", "-E", "-dM", "-"],
        ["-v"],
    ],
    ids=" ".join,
)
def test_what_makes_no_program_is_not_linked(words: list[str]) -> None:
    assert not split(words).links
