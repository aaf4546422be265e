"""Patches apply all or none; a tree without its history knows its version."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import tomlkit

from crosswheel.errors import MissingToolError, RecipeError
from crosswheel.process import Runner
from crosswheel.sources.prepare import apply_patches, pin_version

ORIGINAL = "one\ntwo\nthree\n"


def make_patch(folder: Path, name: str, before: str, after: str) -> Path:
    """Write the patch that turns a file's content into another."""
    return write_patch(
        folder / name,
        "--- a/src/file.txt\n+++ b/src/file.txt\n@@ -1,3 +1,3 @@\n"
        + "".join(
            f" {old}\n" if old == new else f"-{old}\n+{new}\n"
            for old, new in zip(before.splitlines(), after.splitlines())
        ),
    )


def write_patch(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A source tree below a git repository that ignores it, as build/ is in a checkout."""
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    folder = tmp_path / "build" / "tree"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "file.txt").write_text(ORIGINAL)
    return folder


@pytest.fixture(params=["git", "patch"])
def tool(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The only program for patches that is installed."""
    name = str(request.param)
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"{name} is not installed")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / name).symlink_to(program)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return name


def content(tree: Path) -> dict[str, str]:
    return {str(path.relative_to(tree)): path.read_text() for path in tree.rglob("*") if path.is_file()}


def test_patches_apply_in_their_order(tree: Path, tool: str, tmp_path: Path) -> None:
    first = make_patch(tmp_path, "1.patch", ORIGINAL, "one\n2\nthree\n")
    second = make_patch(tmp_path, "2.patch", "one\n2\nthree\n", "one\n2\n3\n")
    added = write_patch(
        tmp_path / "3.patch",
        "diff --git a/new/file.py b/new/file.py\nnew file mode 100644\n--- /dev/null\n+++ b/new/file.py\n"
        "@@ -0,0 +1 @@\n+x = 1\n",
    )
    apply_patches(tree, [first, second, added], Runner())
    assert content(tree) == {"src/file.txt": "one\n2\n3\n", "new/file.py": "x = 1\n"}


def test_when_one_does_not_apply_none_does_and_it_is_named(tree: Path, tool: str, tmp_path: Path) -> None:
    good = make_patch(tmp_path, "good.patch", ORIGINAL, "one\n2\nthree\n")
    bad = make_patch(tmp_path, "bad.patch", "one\nzwei\nthree\n", "one\n2\nthree\n")
    with pytest.raises(RecipeError, match=r"bad\.patch does not apply") as refused:
        apply_patches(tree, [good, bad], Runner())
    assert "src/file.txt" in refused.value.message
    assert re.search(r"file\.txt:1\b|Hunk #1", refused.value.message)
    assert content(tree) == {"src/file.txt": ORIGINAL}


def test_a_patch_that_the_source_already_has_is_refused_and_not_reverted(
    tree: Path, tool: str, tmp_path: Path
) -> None:
    patch = make_patch(tmp_path, "1.patch", ORIGINAL, "one\n2\nthree\n")
    apply_patches(tree, [patch], Runner())
    with pytest.raises(RecipeError):
        apply_patches(tree, [patch], Runner())
    assert content(tree) == {"src/file.txt": "one\n2\nthree\n"}


def test_a_patch_does_not_reach_out_of_the_tree(tree: Path, tool: str, tmp_path: Path) -> None:
    evil = write_patch(tmp_path / "evil.patch", "--- /dev/null\n+++ b/../../evil.txt\n@@ -0,0 +1 @@\n+evil\n")
    with pytest.raises(RecipeError):
        apply_patches(tree, [evil], Runner())
    assert not list(tmp_path.rglob("evil.txt"))


def test_without_patches_no_program_is_needed(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/none")
    apply_patches(tree, [], Runner())


def test_patches_without_a_program_for_them_say_what_to_install(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/none")
    with pytest.raises(MissingToolError, match="neither git nor patch"):
        apply_patches(tree, [make_patch(tmp_path, "1.patch", ORIGINAL, ORIGINAL)], Runner())


def test_the_version_is_told_in_every_tool_s_variable(tree: Path) -> None:
    (tree / "pyproject.toml").write_text('[project]\nname = "Demo.pkg-x"\n')
    assert pin_version(tree, "1.2") == {
        "SETUPTOOLS_SCM_PRETEND_VERSION": "1.2",
        "SETUPTOOLS_SCM_PRETEND_VERSION_FOR_DEMO_PKG_X": "1.2",
        "PBR_VERSION": "1.2",
        "PDM_BUILD_SCM_VERSION": "1.2",
        "POETRY_DYNAMIC_VERSIONING_BYPASS": "1.2",
        "UV_DYNAMIC_VERSIONING_BYPASS": "1.2",
    }
    assert (tree / "pyproject.toml").read_text() == '[project]\nname = "Demo.pkg-x"\n'


def test_without_a_pyproject_the_general_variables_are_told(tree: Path) -> None:
    assert pin_version(tree, "1.2")["SETUPTOOLS_SCM_PRETEND_VERSION"] == "1.2"


PLACES = {
    "only subtables": '[tool.versioningit.vcs]\nmatch = ["[0-9]*"]\n',
    "own table": '[tool.versioningit]\n# why\n\n[tool.versioningit.write]\nfile = "a.py"\n',
    "hatch's table": '[tool.hatch.version]\nsource = "versioningit"\n',
    "hatch's table wins": '[tool.hatch.version]\nsource = "versioningit"\nvcs = {}\n\n[tool.versioningit]\n',
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_versioningit_s_table_gets_the_version_and_the_rest_stays(
    tree: Path, place: str, newline: str
) -> None:
    project = f'# a note\n[project]\nname="demo"   # odd  spacing\n\n{PLACES[place]}\n[tool.other]\na   =1\n'
    before = project.replace("\n", newline)
    (tree / "pyproject.toml").write_bytes(before.encode())
    pin_version(tree, "1.2")
    after = (tree / "pyproject.toml").read_bytes().decode()
    tool = tomlkit.parse(after).unwrap()["tool"]
    table = tool["hatch"]["version"] if place.startswith("hatch") else tool["versioningit"]
    assert table["default-version"] == "1.2"
    added = ('default-version = "1.2"', "[tool.versioningit]", "")
    # Lines with their ends; the added ones may end in either way.
    kept = [line for line in after.splitlines(keepends=True) if line.strip() not in added]
    assert kept == [line for line in before.splitlines(keepends=True) if line.strip() not in added]


def test_an_sdist_keeps_its_own_version(tree: Path) -> None:
    (tree / "PKG-INFO").write_text("Version: 1.1\n")
    (tree / "pyproject.toml").write_text(PLACES["own table"])
    pin_version(tree, "1.2")
    assert (tree / "pyproject.toml").read_text() == PLACES["own table"]


def test_a_project_file_that_is_no_toml_is_named(tree: Path) -> None:
    (tree / "pyproject.toml").write_text("[project\n")
    with pytest.raises(RecipeError, match=r"pyproject\.toml is not valid TOML"):
        pin_version(tree, "1.2")
