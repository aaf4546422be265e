"""Tests that ship in recipes hold on whatever target: they refuse a wheel where they fail."""

from __future__ import annotations

from pathlib import Path

import pytest
from uv import find_uv_bin

from crosswheel.process import Runner, this_python
from crosswheel.recipes.loader import shipped_helpers

# Those that are published for many machines, and small.
PACKAGES = ("cffi", "greenlet", "lxml", "numpy", "pillow", "pynacl", "pyyaml", "pyzmq", "shapely")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published wheels for this machine."""
    folder = tmp_path_factory.mktemp("site")
    words = [
        "pip",
        "install",
        "--quiet",
        "--only-binary",
        ":all:",
        "--python",
        this_python(),
        "--target",
        folder,
    ]
    Runner().run([find_uv_bin(), *words, *PACKAGES])
    return folder


@pytest.mark.parametrize("name", PACKAGES)
def test_what_is_published_for_this_machine_passes_as_well(name: str, site: Path, tmp_path: Path) -> None:
    """Those of cffi and numpy held for a pointer of 32 bits alone, so that 64-bit targets could not have them."""
    for test in shipped_helpers()[name].test_files:
        env = {"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"}
        Runner().run([this_python(), test], env=env, cwd=tmp_path)
