"""What was made or proven by other code is made and proven anew: all that a wheel passes through is in one name."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import crosswheel
from crosswheel.errors import ToolchainError
from crosswheel.job import code
from crosswheel.job.code import WITHOUT_INFLUENCE, code_digest

PACKAGE = Path(crosswheel.__file__).parent
ON_THE_WAY = (
    "job/proving.py", "job/making.py", "emulation/emulator.py", "uv.py", "process.py", "emulation/trials.py",
    "build/bundling.py", "toolchain/libraries/compat.c", "toolchain/python/view/sitecustomize.py",
    "targets/__init__.py", "recipes/api.py", "files.py",
)  # fmt: skip


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PACKAGE, tmp_path / "package", ignore=shutil.ignore_patterns("__pycache__")))


def _imported(path: Path) -> Iterator[Path]:
    """Yield the files of the package that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            module = PACKAGE.parent.joinpath(*name.split("."))
            yield from filter(Path.is_file, (module / "__init__.py", module.with_suffix(".py")))


def _closure(*files: str) -> set[str]:
    seen: set[Path] = set()
    pending = [PACKAGE / file for file in files]
    while pending:
        path = pending.pop()
        if path not in seen and path.is_relative_to(PACKAGE):
            seen.add(path)
            pending += _imported(path)
    return {str(path.relative_to(PACKAGE)) for path in seen}


@pytest.mark.parametrize("file", ON_THE_WAY)
def test_a_change_in_what_makes_or_proves_wheels_gives_another_name(package: Path, file: str) -> None:
    before = code_digest(package)
    with (package / file).open("a") as stream:
        stream.write("\n")
    assert code_digest(package) != before


def test_a_new_module_gives_another_name(package: Path) -> None:
    before = code_digest(package)
    (package / "check" / "newer.py").touch()
    assert code_digest(package) != before


@pytest.mark.parametrize(
    "file", ["cli/building.py", "index/pages/home.html", "toolchain/libraries/libraries.toml"]
)
def test_a_change_in_what_only_shows_gives_the_same_name(package: Path, file: str) -> None:
    before = code_digest(package)
    with (package / file).open("a") as stream:
        stream.write("\n")
    (package / "check" / "__pycache__").mkdir()
    (package / "check" / "__pycache__" / "wheel.cpython-310.pyc").touch()
    assert code_digest(package) == before


def test_nothing_that_makes_or_proves_wheels_is_left_out() -> None:
    used = _closure("job/making.py", "job/proving.py")
    assert set(ON_THE_WAY) - used <= {
        "toolchain/libraries/compat.c",
        "toolchain/python/view/sitecustomize.py",
    }
    left_out = {file for file in used if WITHOUT_INFLUENCE & {file, *map(str, Path(file).parents)}}
    # The one draws what it is told; what the other gives is compared with its signature or its hash.
    assert {file for file in left_out if not file.startswith(("progress/", "stores/"))} == set()


def test_a_version_of_a_library_gives_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    before = code_digest()
    version = code.metadata.version
    monkeypatch.setattr(code.metadata, "version", lambda name: "0" if name == "uv" else version(name))
    assert code_digest() != before


def test_a_misspelt_exclusion_and_a_package_without_code_are_errors(package: Path) -> None:
    with pytest.raises(ToolchainError, match="has no progres,"):
        code_digest(package, {*WITHOUT_INFLUENCE, "progres"})
    everything = {path.name for path in package.iterdir()}
    with pytest.raises(ToolchainError, match="has no code,"):
        code_digest(package, everything)
