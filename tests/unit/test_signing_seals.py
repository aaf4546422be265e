"""The seals of the cache: who has the key, and what a seal covers."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from crosswheel.errors import UsageError
from crosswheel.seals import Seals


def test_a_sealed_text_is_read_as_it_was_written_or_not_at_all(tmp_path: Path) -> None:
    file, seals = tmp_path / "sealed", Seals(b"a key")
    assert seals.read(file, "a") is None
    seals.write(file, "a", "grüß\ngott\n")
    assert seals.read(file, "a") == "grüß\ngott\n"
    assert Seals(b"another").read(file, "a") is None
    assert seals.read(file, "b") is None
    whole = file.read_bytes()
    for index in range(len(whole)):
        file.write_bytes(whole[:index] + bytes([whole[index] ^ 1]) + whole[index + 1 :])
        assert seals.read(file, "a") is None
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        assert seals.read(file, "a") is None


def test_the_key_is_made_once_and_is_its_owners_alone_whatever_the_umask_is(tmp_path: Path) -> None:
    path = tmp_path / "state/cache.key"
    before = os.umask(0)
    try:
        with ThreadPoolExecutor(8) as pool:  # commands that begin at once
            keys = set(pool.map(lambda _: Seals.of_user({}, path).key, range(16)))
    finally:
        os.umask(before)
    assert keys == {path.read_bytes()}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [path] == list(path.parent.iterdir())


@pytest.mark.parametrize("mode", [0o640, 0o602])
def test_a_key_that_others_may_read_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "cache.key"
    assert Seals.of_user({}, path).is_kept
    path.chmod(mode)
    with pytest.raises(UsageError, match="others can read or replace it"):
        Seals.of_user({}, path)


def test_a_key_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cache.key"
    path.touch(0o600)
    with pytest.raises(UsageError, match="is damaged"):
        Seals.of_user({}, path)


def test_the_environment_gives_the_key_where_none_can_be_kept(tmp_path: Path) -> None:
    path = tmp_path / "file" / "cache.key"
    path.parent.touch()  # no folder can be made here
    assert not Seals.of_user({}, path).is_kept
    assert Seals.of_user({}, path).key != Seals.of_user({}, path).key
    given = {"CROSSWHEEL_CACHE_KEY": "a secret"}
    assert Seals.of_user(given, path) == Seals.of_user(given, path)
    assert Seals.of_user(given, path).is_kept
    assert "secret" not in repr(Seals.of_user(given, path))
