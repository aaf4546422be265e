"""A folder as a store: what is listed of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from crosswheel.stores.folder import FolderStore


@pytest.mark.parametrize("root", [".", "channel", "{}/channel"])
def test_files_are_listed_at_any_depth_by_their_paths_below_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: str
) -> None:
    store = FolderStore(Path(root.format(tmp_path)))
    (tmp_path / "channel").mkdir()
    monkeypatch.chdir(tmp_path / "channel" if root == "." else tmp_path)
    paths = ["top.json", "simple/index.html", "simple/a/ot2/a-1-py3-none-any.whl"]
    for path in paths:
        assert store.create(path, b"bytes")
    assert store.create("simple/.a.1234", b"a file that is being written")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_bytes(b"of no channel")
    (tmp_path / "channel" / "simple" / "b").symlink_to(elsewhere)
    assert sorted(store.listing("")) == sorted(paths)
    assert sorted(store.listing("simple")) == sorted(paths[1:])
    assert {stored.size for stored in store.listing("").values()} == {5}
    assert store.listing("simple/no-such-folder") == store.listing("top.json") == {}


def test_another_content_has_another_mark(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.write("file", b"one")
    before = store.listing("")
    store.write("file", b"two")
    assert store.listing("")["file"].mark != before["file"].mark
