"""Downloads are whole and right, or leave nothing behind."""

from __future__ import annotations

import errno
import hashlib
import socket
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crosswheel.download import download
from crosswheel.errors import IntegrityError, NetworkError, StorageError
from crosswheel.settings import Settings
from support.servers import FolderServer

CONTENT = b"bytes of a file" * 10_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FolderServer]:
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "file.zip").write_bytes(CONTENT)
    with FolderServer(folder) as running:
        yield running


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache=tmp_path / "cache", github="", registry="")


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    return tmp_path / "downloads" / "file.zip"


def left_in(destination: Path) -> list[str]:
    return sorted(path.name for path in destination.parent.iterdir()) if destination.parent.exists() else []


def test_a_download_has_the_bytes_that_were_served(
    server: FolderServer, settings: Settings, destination: Path
) -> None:
    steps: list[tuple[int, object]] = []
    path = download(
        f"{server.url}/file.zip",
        destination,
        sha256=SHA256,
        settings=settings,
        progress=lambda received, total: steps.append((received, total)),
    )
    assert path == destination
    assert path.read_bytes() == CONTENT
    assert steps[-1] == (len(CONTENT), len(CONTENT))
    assert left_in(destination) == ["file.zip"]


def test_a_file_with_the_right_hash_is_not_downloaded_again(
    server: FolderServer, settings: Settings, destination: Path
) -> None:
    for _ in range(2):
        download(f"{server.url}/file.zip", destination, sha256=SHA256, settings=settings)
    assert server.requested["/file.zip"] == 1


def test_a_file_with_another_hash_is_replaced(
    server: FolderServer, settings: Settings, destination: Path
) -> None:
    destination.parent.mkdir()
    destination.write_bytes(b"older")
    download(f"{server.url}/file.zip", destination, sha256=SHA256, settings=settings)
    assert destination.read_bytes() == CONTENT


def test_wrong_bytes_are_refused_with_both_hashes_and_keep_what_was_there(
    server: FolderServer, settings: Settings, destination: Path
) -> None:
    destination.parent.mkdir()
    destination.write_bytes(b"older")
    server.bodies["/file.zip"] = b"evil"
    with pytest.raises(IntegrityError) as refused:
        download(f"{server.url}/file.zip", destination, sha256=SHA256, settings=settings)
    assert SHA256 in refused.value.message
    assert hashlib.sha256(b"evil").hexdigest() in refused.value.message
    assert destination.read_bytes() == b"older"
    assert left_in(destination) == ["file.zip"]


def test_a_server_error_that_passes_is_not_noticed(
    server: FolderServer, settings: Settings, destination: Path
) -> None:
    server.failures["/file.zip"] = 2
    download(f"{server.url}/file.zip", destination, sha256=SHA256, settings=settings)
    assert server.requested["/file.zip"] == 3
    assert destination.read_bytes() == CONTENT


def test_a_truncated_body_is_tried_again_and_never_kept(
    server: FolderServer, settings: Settings, destination: Path
) -> None:
    server.truncated.add("/file.zip")
    with pytest.raises(NetworkError, match=r"file\.zip could not be downloaded from 127\.0\.0\.1"):
        download(f"{server.url}/file.zip", destination, sha256=None, settings=settings)
    assert server.requested["/file.zip"] > 1
    assert left_in(destination) == []


def test_what_is_not_there_is_not_asked_for_again(
    server: FolderServer, settings: Settings, destination: Path
) -> None:
    with pytest.raises(NetworkError, match="404") as refused:
        download(f"{server.url}/none.zip", destination, sha256=None, settings=settings)
    assert server.requested["/none.zip"] == 1
    assert "mirror" in refused.value.hint
    assert left_in(destination) == []


def test_a_refused_connection_names_the_host_and_not_the_password(
    settings: Settings, destination: Path
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, but nothing listens
        url = f"http://user:secret@127.0.0.1:{unused.getsockname()[1]}/file.zip"
        with pytest.raises(NetworkError, match=r"from 127\.0\.0\.1") as refused:
            download(url, destination, sha256=None, settings=settings)
    assert "secret" not in refused.value.message


def failing_resolver(monkeypatch: pytest.MonkeyPatch, codes: Sequence[int]) -> list[object]:
    """Have the first look-ups of hosts fail with these errors, and return the hosts that are looked up."""
    resolve, asked = socket.getaddrinfo, list[object]()

    def getaddrinfo(host: Any, *args: Any, **options: Any) -> Any:
        asked.append(host)
        if len(asked) <= len(codes):
            raise socket.gaierror(codes[len(asked) - 1], "as the resolver says")
        return resolve(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.parametrize("code", ["EAI_NONAME", "EAI_NODATA"])
def test_a_host_that_does_not_exist_is_asked_for_once(
    code: str, settings: Settings, destination: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not hasattr(socket, code):
        pytest.skip(f"this system has no {code}")
    asked = failing_resolver(monkeypatch, [getattr(socket, code)] * 9)
    with pytest.raises(NetworkError, match=r"from mirror\.invalid: .*as the resolver says") as refused:
        download("http://mirror.invalid/file.zip", destination, sha256=None, settings=settings)
    assert len(asked) == 1
    assert "mirror" in refused.value.hint


def test_a_resolver_that_cannot_answer_now_is_asked_again(
    server: FolderServer, settings: Settings, destination: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = failing_resolver(monkeypatch, [socket.EAI_AGAIN] * 2)
    download(f"{server.url}/file.zip", destination, sha256=SHA256, settings=settings)
    assert len(asked) == 3


def test_the_failure_of_one_mirror_says_nothing_of_the_next(
    server: FolderServer, settings: Settings, destination: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = failing_resolver(monkeypatch, [socket.EAI_NONAME, socket.EAI_AGAIN])
    try:
        download("http://mirror.invalid/file.zip", destination, sha256=SHA256, settings=settings)
    except NetworkError:
        download(f"{server.url}/file.zip", destination, sha256=SHA256, settings=settings)
    assert len(asked) == 3


@pytest.mark.parametrize("url", ["no address", "ftp://127.0.0.1/file.zip"])
def test_an_address_that_is_none_is_explained(url: str, settings: Settings, destination: Path) -> None:
    with pytest.raises(NetworkError):
        download(url, destination, sha256=None, settings=settings)


def test_offline_mode_says_what_is_missing_and_asks_no_one(
    server: FolderServer, settings: Settings, destination: Path
) -> None:
    offline = replace(settings, offline=True)
    with pytest.raises(NetworkError, match=r"offline mode is on, and file\.zip is not cached"):
        download(f"{server.url}/file.zip", destination, sha256=SHA256, settings=offline)
    assert not server.requested


def test_offline_mode_finds_what_is_there(
    server: FolderServer, settings: Settings, destination: Path
) -> None:
    download(f"{server.url}/file.zip", destination, sha256=SHA256, settings=settings)
    again = download(
        f"{server.url}/file.zip", destination, sha256=SHA256, settings=replace(settings, offline=True)
    )
    assert again == destination


def test_a_disk_that_becomes_full_is_explained_and_leaves_nothing(
    server: FolderServer, settings: Settings, destination: Path
) -> None:
    def no_space_left(received: int, total: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageError, match="the disk is full"):
        download(
            f"{server.url}/file.zip", destination, sha256=None, settings=settings, progress=no_space_left
        )
    assert left_in(destination) == []
