"""numpy in a build environment is the target's, as far as a build compiles against it or links it."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from crosswheel.build.numpy_headers import linked_version, replace_libraries, retarget

SITE = "lib/python3.10/site-packages"


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """An environment with the host's numpy, as an installer that links from its cache makes it."""
    site = tmp_path / "venv" / SITE
    (site / "numpy-2.2.6.dist-info").mkdir(parents=True)
    (tmp_path / "cached").write_text("for this machine")
    for name in ("numpy/_core/lib/libnpymath.a", "numpy/random/lib/libnpyrandom.a"):
        (site / name).parent.mkdir(parents=True)
        (site / name).hardlink_to(tmp_path / "cached")
    include = site / "numpy/_core/include/numpy"
    include.mkdir(parents=True)
    (include / "_numpyconfig.h").write_text("#define NPY_SIZEOF_LONG 8\n#define NPY_ABI_VERSION 0x02000000\n")
    return tmp_path / "venv"


@pytest.mark.parametrize(
    ("path", "text", "version"),
    [
        ("scipy/meson.build", "npymath_lib = cc.find_library('npymath', dirs: lib)", "2.2.6"),
        ("setup.py", "libraries=['npyrandom']", "2.2.6"),
        ("meson.build", "dependency('numpy')", None),
        ("src/module.c", "#include <numpy/npy_math.h>  /* npymath */", None),
    ],
)
def test_what_a_build_links_of_numpy_is_seen_in_its_build_files(
    tmp_path: Path, venv: Path, path: str, text: str, version: str
) -> None:
    (tmp_path / "tree" / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "tree" / path).write_text(text)
    assert linked_version(venv, tmp_path / "tree") == version


def test_a_build_without_numpy_links_none_of_it(tmp_path: Path) -> None:
    (tmp_path / "meson.build").write_text("npymath")
    assert linked_version(tmp_path, tmp_path) is None


def test_static_libraries_become_the_targets_and_the_cache_stays_as_it_was(
    tmp_path: Path, venv: Path
) -> None:
    wheel = tmp_path / "numpy-2.2.6-cp310-cp310-linux_armv7l.whl"
    names = ["numpy/_core/lib/libnpymath.a", "numpy/random/lib/libnpyrandom.a"]
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in [*names, "numpy/_core/_multiarray_umath.so"]:
            archive.writestr(name, "for the target")
    assert replace_libraries(venv, wheel) == names
    assert [(venv / SITE / name).read_text() for name in names] == ["for the target"] * 2
    assert (tmp_path / "cached").read_text() == "for this machine"
    assert not (venv / SITE / "numpy/_core/_multiarray_umath.so").exists()


def test_sizes_in_headers_become_the_compilers(venv: Path) -> None:
    (header,) = retarget(venv)
    assert (
        header.read_text() == "#define NPY_SIZEOF_LONG __SIZEOF_LONG__\n#define NPY_ABI_VERSION 0x02000000\n"
    )
