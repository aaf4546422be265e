"""C libraries in a cache that a team shares: they lie in another folder there, and say so."""

from __future__ import annotations

from pathlib import Path

import pytest

from crosswheel.shared_cache.cache import SharedCache
from crosswheel.shared_cache.guarded import GuardedStore
from crosswheel.signing.keys import SigningKey
from crosswheel.stores.folder import FolderStore
from crosswheel.toolchain.libraries.exchange import KIND, fetch_folder, share_folder

KEY, NAME = SigningKey.new(), "tiny-armhf-0123456789abcdef0123"


@pytest.fixture
def shared(tmp_path: Path) -> SharedCache:
    store = FolderStore(tmp_path / "store")
    return SharedCache([GuardedStore("store", lambda: store, print, 5)], [KEY.public], KEY, print)


def built(prefix: Path, archive: bytes = b"!<arch>\n\0") -> Path:
    """Make a library's folder as a build leaves it."""
    files = {
        "include/tiny.h": b"int tiny(void);\n",
        "lib/libtiny.a": archive,
        "lib/pkgconfig/tiny.pc": f"prefix={prefix}\nlibdir=${{prefix}}/lib\n".encode(),
        "bin/tiny-config": f"#!/bin/sh\necho -I{prefix}/include\n".encode(),
    }
    for name, data in files.items():
        (prefix / name).parent.mkdir(parents=True, exist_ok=True)
        (prefix / name).write_bytes(data)
    (prefix / "bin/tiny-config").chmod(0o755)
    (prefix / "lib/libtinier.a").symlink_to("libtiny.a")
    return prefix


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mode & 0o100)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_library_comes_as_it_would_have_been_built_there(shared: SharedCache, tmp_path: Path) -> None:
    share_folder(shared, KIND, built(tmp_path / "here" / NAME))
    there = tmp_path / "there" / NAME
    (folder := tmp_path / "there" / "temporary").mkdir(parents=True)
    assert fetch_folder(shared, KIND, folder, there)
    assert tree(folder) == tree(built(there))
    assert (folder / "lib/libtinier.a").readlink() == Path("libtiny.a")


def test_what_names_a_folder_of_this_machine_in_machine_code_is_not_shared(
    shared: SharedCache, tmp_path: Path
) -> None:
    prefix = tmp_path / "here" / NAME
    share_folder(shared, KIND, built(prefix, b"\0" + str(prefix).encode()))
    assert not (tmp_path / "store").exists()


def test_two_machines_store_the_same_bytes(shared: SharedCache, tmp_path: Path) -> None:
    for name in ("here", "there"):
        share_folder(shared, KIND, built(tmp_path / name / NAME))
    assert len(list((tmp_path / "store/blobs").glob("*/*"))) == 1


def test_without_a_shared_cache_nothing_is_fetched(tmp_path: Path) -> None:
    assert not fetch_folder(None, KIND, tmp_path, tmp_path)
