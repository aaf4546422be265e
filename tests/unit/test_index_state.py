"""A site that other code made is made anew: all that a page passes through is in one name."""

from __future__ import annotations

import ast
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

import crosswheel
from crosswheel.errors import ToolchainError
from crosswheel.index import site_state
from crosswheel.index.site_state import LIBRARIES, MADE_BY, code_digest

PACKAGE = Path(crosswheel.__file__).parent


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PACKAGE, tmp_path / "package", ignore=shutil.ignore_patterns("__pycache__")))


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules_of(names: Iterator[str]) -> Iterator[Path]:
    for name in names:
        module = PACKAGE.parent.joinpath(*name.split("."))
        yield from filter(Path.is_file, (module / "__init__.py", module.with_suffix(".py")))


# Pages tell where a target's Python comes from, which this room decides by itself; the rest of it makes Pythons.
DECIDES = PACKAGE / "toolchain/python"


def closure() -> set[Path]:
    seen: set[Path] = set()
    pending = [*(PACKAGE / "index").rglob("*.py")]
    while pending:
        path = pending.pop()
        if path not in seen and path.is_relative_to(PACKAGE):
            seen.add(path)
            pending += [] if path.is_relative_to(DECIDES) else modules_of(imported(path))
    return seen


def test_all_that_a_page_passes_through_is_in_its_name() -> None:
    used = {path.relative_to(PACKAGE) for path in closure()} - {Path("__init__.py")}
    assert not [file for file in used if not {str(part) for part in (file, *file.parents)} & set(MADE_BY)]
    assert Path("wheels/reading.py") in used


def test_every_library_that_a_page_passes_through_is_in_its_name() -> None:
    read = (path for path in closure() if not path.is_relative_to(DECIDES))
    tops = {name.partition(".")[0] for path in read for name in imported(path)}
    distributions = metadata.packages_distributions()
    others = tops - set(sys.stdlib_module_names) - {"crosswheel", "tomli"}
    names = {name.lower().replace("_", "-") for top in others for name in distributions[top]}
    assert names <= set(LIBRARIES)


@pytest.mark.parametrize(
    "file", ["wheels/reading.py", "wheels/proof.py", "index/pages/home.html", "versions.py"]
)
def test_a_change_in_what_makes_pages_gives_another_name(package: Path, file: str) -> None:
    before = code_digest(package)
    with (package / file).open("a") as stream:
        stream.write("\n")
    assert code_digest(package) != before


def test_what_python_keeps_and_other_rooms_change_nothing(package: Path) -> None:
    before = code_digest(package)
    (package / "index/__pycache__").mkdir()
    (package / "index/__pycache__/site.cpython-310.pyc").touch()
    (package / "job/making.py").write_text("")
    assert code_digest(package) == before == code_digest()


def test_a_version_of_a_library_gives_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    before, version = code_digest(), metadata.version
    monkeypatch.setattr(
        site_state.metadata, "version", lambda name: "0" if name == "docutils" else version(name)
    )
    assert code_digest() != before


@pytest.mark.parametrize("part", ["indexes", "empty"])
def test_a_misspelt_part_and_an_empty_one_are_errors(package: Path, part: str) -> None:
    (package / "empty/__pycache__").mkdir(parents=True)
    with pytest.raises(ToolchainError, match=f"has no {part},"):
        code_digest(package, (*MADE_BY, part))
