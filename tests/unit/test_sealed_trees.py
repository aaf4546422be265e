"""One byte of an unpacked tool that changed is noticed when the tool is used, whatever hides it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from crosswheel import cached, sealed_trees
from crosswheel.cached import CachedFolder
from crosswheel.cli import main
from crosswheel.errors import IntegrityError
from crosswheel.sealed_trees import SealedTree
from crosswheel.seals import VARIABLE, Seals


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "the key of this cache")


def fill(folder: Path, place: Path | None = None) -> None:
    """Fill a folder with a tool: a program, a link to it, and a text that names the folder."""
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "cc").write_bytes(b"\x7fELF compiles")
    (folder / "bin" / "cc").chmod(0o755)
    (folder / "bin" / "c++").symlink_to("cc")
    (folder / "lib.pc").write_text(f"prefix={place}\n")


class Tool:
    """A tool of a cache, which counts how often it was made."""

    def __init__(self, cache: Path) -> None:
        self.kept = CachedFolder.of(cache, "python", {"of": "this"}, ["bin/cc"])
        self.made = 0

    def _fill(self, folder: Path) -> None:
        self.made += 1
        fill(folder, self.kept.path)

    def use(self) -> Path:
        return self.kept.make(self._fill)


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    made = Tool(tmp_path / "cache")
    assert made.use() == made.use()
    assert made.made == 1
    return made


def flip(tool: Path) -> None:
    """Flip one bit, and restore all that a program may restore of what the file system tells."""
    program = tool / "bin" / "cc"
    before, data = program.stat(), bytearray(program.read_bytes())
    data[-1] ^= 1
    program.write_bytes(data)
    os.utime(program, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = program.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (
        before.st_size,
        before.st_mtime_ns,
        before.st_ino,
    )


def replace(tool: Path) -> None:
    flip(tool)
    shutil.copy2(tool / "bin" / "cc", tool / "bin" / "new")
    (tool / "bin" / "new").replace(tool / "bin" / "cc")


def redirect(tool: Path) -> None:
    (tool / "bin" / "c++").unlink()
    (tool / "bin" / "c++").symlink_to("/usr/bin/true")


def add(tool: Path) -> None:
    (tool / "bin" / "sitecustomize.py").write_text("")


def remove(tool: Path) -> None:
    (tool / "lib.pc").unlink()


def become_a_link(tool: Path) -> None:
    (tool / "bin" / "cc").replace(tool.parent / "cc")
    (tool / "bin" / "cc").symlink_to(tool.parent / "cc")


DAMAGES = [flip, replace, redirect, add, remove, become_a_link]


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_was_changed_is_refused_at_the_next_use_and_made_anew_when_it_was_removed(
    tool: Tool,
    damage: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    damage(tool.kept.path)
    with pytest.raises(IntegrityError) as refused:
        tool.use()
    assert str(tool.kept.path) in refused.value.message
    assert "cache verify --remove" in refused.value.hint
    monkeypatch.setenv("CROSSWHEEL_CACHE", str(tool.kept.path.parents[1]))
    assert verify(monkeypatch) == 1
    assert tool.kept.path.exists()
    assert verify(monkeypatch, "--remove") == 1
    assert "of 1 tools, 1 are damaged and removed" in capsys.readouterr().out
    tool.use()
    assert tool.made == 2
    assert verify(monkeypatch) == 0


def verify(monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    monkeypatch.setattr(sys, "argv", ["crosswheel", "cache", "verify", *options])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_a_list_that_was_forged_with_the_tool_does_not_count(tool: Tool) -> None:
    flip(tool.kept.path)
    SealedTree(tool.kept.path, Seals(b"another key")).seal(tool.kept.path)
    make_writable_for_others(tool)
    tool.use()
    assert tool.made == 2


def test_the_list_of_another_tool_does_not_count(tool: Tool, tmp_path: Path) -> None:
    other = CachedFolder.of(tmp_path / "cache", "python", {"of": "that"}, ["bin/cc"])
    other.make(fill)
    shutil.copyfile(other.tree.list_path, tool.kept.tree.list_path)
    make_writable_for_others(tool)
    tool.use()
    assert tool.made == 2


def make_writable_for_others(tool: Tool) -> None:
    tool.kept.path.parent.chmod(0o777)


def test_a_tool_without_a_list_counts_where_others_could_not_write(tool: Tool) -> None:
    tool.kept.tree.list_path.unlink()
    tool.use()
    assert tool.made == 1
    flip(tool.kept.path)  # it is listed from now on
    with pytest.raises(IntegrityError):
        tool.use()


@pytest.mark.parametrize("place", ["python", "tool", "file"])
def test_a_tool_without_a_list_is_made_anew_where_others_could_write(tool: Tool, place: str) -> None:
    tool.kept.tree.list_path.unlink()
    path = tool.kept.path
    {"python": path.parent, "tool": path / "bin", "file": path / "bin" / "cc"}[place].chmod(0o777)
    tool.use()
    assert tool.made == 2


def test_to_verify_tells_of_a_tool_without_a_list_of_its_own_key(tool: Tool) -> None:
    SealedTree(tool.kept.path, Seals(b"another key")).seal(tool.kept.path)
    (fault,) = tool.kept.tree.faults()
    assert "its list is missing, or was not sealed with this user's key" in fault


def test_only_files_of_which_something_changed_are_hashed(
    tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[Path] = []
    original = sealed_trees.sha256_of

    def counting(path: Path) -> str:
        hashed.append(path)
        return original(path)

    monkeypatch.setattr(sealed_trees, "sha256_of", counting)
    tool.use()
    assert hashed == []
    os.utime(tool.kept.path / "lib.pc")
    tool.use()
    tool.use()
    assert hashed == [tool.kept.path / "lib.pc"]  # once: it is listed anew


def test_bytecode_that_is_not_listed_is_not_read(tool: Tool) -> None:
    bytecode = tool.kept.path / "lib" / "__pycache__" / "os.cpython-310.pyc"
    bytecode.parent.mkdir(parents=True)
    bytecode.write_bytes(b"evil")
    half = bytecode.with_name("os.cpython-310.pyc.139871")  # another process is writing it
    half.write_bytes(b"")
    tool.use()
    assert not bytecode.exists()
    assert not half.exists()


def test_listed_bytecode_that_was_changed_is_not_read(tool: Tool) -> None:
    bytecode = tool.kept.path / "lib" / "__pycache__" / "os.cpython-310.pyc"
    bytecode.parent.mkdir(parents=True)
    bytecode.write_bytes(b"good")
    tool.kept.tree.seal(tool.kept.path)
    tool.use()
    assert bytecode.read_bytes() == b"good"
    bytecode.write_bytes(b"evil")
    tool.use()
    assert not bytecode.exists()
    tool.use()
    assert tool.made == 1


def test_a_tool_of_a_cache_that_was_moved_names_its_new_folder(tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "cache").rename(tmp_path / "moved")
    moved = Tool(tmp_path / "moved")
    path = moved.use()
    assert moved.made == 0
    assert (path / "lib.pc").read_text() == f"prefix={path}\n"
    assert moved.use() == path
    flip(path)
    with pytest.raises(IntegrityError):
        moved.use()


def test_a_link_to_the_tools_of_another_cache_moves_nothing(tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "python").symlink_to(tool.kept.path.parent)
    before = (tool.kept.path / "lib.pc").read_text()
    linked = Tool(tmp_path / "second")
    linked.use()
    assert (linked.made, (tool.kept.path / "lib.pc").read_text()) == (0, before)
    tool.use()
    assert tool.made == 1


def test_where_no_key_can_be_kept_nothing_is_made_anew(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cached.Seals, "of_user", lambda: Seals(os.urandom(32), is_kept=False))
    make_writable_for_others(tool)
    tool.use()
    assert tool.made == 1


def test_what_is_no_program_is_not_listed(tmp_path: Path) -> None:
    kept = CachedFolder.of(tmp_path / "cache", "sites", {"of": "this"}, ["bin/cc"])
    kept.make(fill)
    assert not kept.tree.list_path.exists()
