from __future__ import annotations

from pathlib import Path

import pytest

from crosswheel.errors import IntegrityError
from crosswheel.toolchain.python.tree import PythonTree


def tree_with(folder: Path, text: str) -> PythonTree:
    tree = PythonTree(folder, "3.10")
    tree.stdlib.mkdir(parents=True)
    (tree.stdlib / "_sysconfigdata__linux_arm-linux-gnueabihf.py").write_text(text)
    return tree


def test_what_a_python_knows_of_its_build_is_read(tmp_path: Path) -> None:
    tree = tree_with(tmp_path, "# a comment\nbuild_time_vars = {'CC': 'gcc', 'SIZEOF_LONG': 4}\n")
    assert tree.build_variables == {"CC": "gcc", "SIZEOF_LONG": 4}


@pytest.mark.parametrize(
    "text",
    [
        "import pathlib\nbuild_time_vars = {'CC': pathlib.Path('ran').touch()}\n",
        "print('no variables')\n",
        "build_time_vars = {\n",
    ],
)
def test_downloaded_sysconfig_data_is_read_and_never_run(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(IntegrityError, match="no sysconfig data"):
        _ = tree_with(tmp_path / "python", text).build_variables
    assert not (tmp_path / "ran").exists()
