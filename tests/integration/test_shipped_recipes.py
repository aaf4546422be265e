"""Tests that ship in recipes hold on whatever target: they refuse a wheel where they fail."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from crosswheel.process import Runner, this_python
from crosswheel.recipes.loader import shipped_helpers
from crosswheel.settings import Settings
from crosswheel.uv import Uv

# Those that are published for many machines, and small, as of a day.
PACKAGES = ("cffi", "greenlet", "lxml", "numpy", "pillow", "pynacl", "pyyaml", "pyzmq", "shapely")
AS_OF = datetime.date(2026, 10, 31)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the published wheels for this machine."""
    folder = tmp_path_factory.mktemp("published")
    wanted, resolved = folder / "wanted.in", folder / "resolved.txt"
    wanted.write_text("".join(f"{name}\n" for name in PACKAGES))
    uv, interpreter = Uv(Settings.from_environment(), Runner()), Path(this_python())
    solved = uv.compile([wanted], resolved, python=interpreter, as_of=AS_OF)
    assert solved.returncode == 0, solved.output
    uv.venv(folder / "venv", python=interpreter)
    uv.install_locked(resolved, python=folder / "venv" / "bin" / "python")
    return folder / "venv" / "bin" / "python"


@pytest.mark.parametrize("name", PACKAGES)
def test_what_is_published_for_this_machine_passes_as_well(name: str, python: Path, tmp_path: Path) -> None:
    """Those of cffi and numpy held for a pointer of 32 bits alone, so that 64-bit targets could not have them."""
    for test in shipped_helpers()[name].test_files:
        Runner().run([python, "-B", test], cwd=tmp_path)
