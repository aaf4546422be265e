"""What the registry has of a release: asked once, found again, and explained where it is not there."""

from __future__ import annotations

import datetime
import hashlib
import itertools
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from crosswheel.errors import IntegrityError, NetworkError, PlanError
from crosswheel.registry import Registry, ReleaseFile
from crosswheel.registry.release_files import with_password
from crosswheel.settings import Settings
from support.servers import FolderServer

CONTENTS = {
    "demo_pkg-1.0-cp310-cp310-manylinux_2_17_armv7l.whl": b"a wheel",
    "demo_pkg-1.0.tar.gz": b"an sdist",
    "demo_pkg-1.1.tar.gz": b"the next sdist",
    "demo_pkg-1.0.win32.exe": b"an installer",
    "unreadable": b"",
}
PROJECT = "/simple/demo-pkg"
# By the version that they are of; those of "none" are no wheels and no sdists, or have no version.
ODD_NAMES = {
    "1.0": ["demo_pkg-1.0-py3-none-any.whl", "demo-pkg-1.0.0.tar.gz", "Demo.Pkg-1.zip", "demo_pkg-v1.0.tar.xz"],
    "1!2.0": ["demo_pkg-1!2.0-py3-none-any.whl", "demo_pkg-1!2.tar.gz"],
    "1.0.post1": ["demo-pkg-1.0-1.tar.gz", "demo_pkg-1.0.post1.tar.bz2", "demo_pkg-1.0_r1-py3-none-any.whl"],
    "1.0.dev3": ["demo_pkg-1.0.dev3.tar.gz", "DEMO-PKG-1.0-dev-3.zip", "demo_pkg-1.0.dev3-py3-none-any.whl"],
    "1.0+cpu.2": ["demo_pkg-1.0+cpu.2-py3-none-any.whl", "demo-pkg-1.0+cpu-2.tar.gz"],
    "1.0+cpu": ["demo_pkg-1.0+cpu.tgz", "demo_pkg-1.0+CPU-py3-none-any.whl"],
    "2.0rc1": ["demo_pkg-2.0-rc-1.tar.gz", "demo_pkg-2.0c1-4build-cp310-cp310-manylinux_2_17_armv7l.whl"],
    "1.0.1": ["demo_pkg-1.0.1-1-py3-none-any.whl", "demo__pkg-1.0.1.tar"],
    "3": ["2to3-3.tar.gz", "other-thing-3.zip", "2to3-3-py3-none-any.whl"],
    "none": ["demo_pkg-1.0-py2.7.egg", "demo_pkg-4.0.win32-py2.7.exe", "demo_pkg-4.0.linux-x86_64.tar.gz",
             "demo-pkg-2004c.tar.gz", "demo_pkg-1.0.tar.gz.asc", "demo_pkg-1.0-1.noarch.rpm", "demo-pkg.tar.gz",
             "demo_pkg-2-none-any.whl", "demo_pkg.whl", "demo_pkg-1.0-py3-none-any.WHL", "unreadable"],
}  # fmt: skip


def sha256(name: str) -> str:
    return hashlib.sha256(CONTENTS[name]).hexdigest()


def write_json_page(folder: Path, **changes: Any) -> None:
    """Write the project's page as PEP 691 and 700 have it, with addresses relative to it."""
    files = [
        {
            "filename": name,
            "url": f"../../files/{name}",
            "hashes": {"sha256": sha256(name)},
            "size": len(content),
            "upload-time": "2024-05-14T02:02:34.233352Z",
            "requires-python": ">=3.8",
            "core-metadata": name.endswith(".whl"),
            "yanked": "broken" if name.endswith(".whl") else False,
        }
        for name, content in CONTENTS.items()
    ]
    page = {"meta": {"api-version": "1.1"}, "name": "demo-pkg", "versions": ["1.0", "1.1"], "files": files}
    (folder / "index.json").write_text(json.dumps({**page, **changes}))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FolderServer]:
    (tmp_path / "served" / "files").mkdir(parents=True)
    for name, content in CONTENTS.items():
        (tmp_path / "served" / "files" / name).write_bytes(content)
    (tmp_path / "served" / "simple" / "demo-pkg").mkdir(parents=True)
    write_json_page(tmp_path / "served" / "simple" / "demo-pkg")
    with FolderServer(tmp_path / "served") as running:
        yield running


@pytest.fixture
def settings(tmp_path: Path, server: FolderServer) -> Settings:
    return Settings(cache=tmp_path / "cache", github="", registry=f"{server.url}/simple")


@pytest.fixture
def registry(settings: Settings) -> Iterator[Registry]:
    with Registry(settings) as opened:
        yield opened


def asked(server: FolderServer) -> int:
    return server.requested[f"{PROJECT}/"]


def sdist_of(registry: Registry) -> ReleaseFile:
    return next(file for file in registry.release_files("demo-pkg", "1.0") if file.kind == "sdist")


def test_a_release_has_its_wheels_and_sdists_and_all_that_is_told_of_them(
    registry: Registry, server: FolderServer
) -> None:
    wheel, sdist = registry.release_files("Demo.Pkg", "1.0")
    name = "demo_pkg-1.0-cp310-cp310-manylinux_2_17_armv7l.whl"
    assert wheel == ReleaseFile(
        filename=name,
        url=f"{server.url}/files/{name}",
        sha256=sha256(name),
        kind="wheel",
        requires_python=">=3.8",
        yanked=True,
        yanked_reason="broken",
        upload_time=datetime.datetime(2024, 5, 14, 2, 2, 34, 233352, tzinfo=datetime.timezone.utc),
        size=7,
        has_metadata=True,
    )
    assert (sdist.filename, sdist.kind, sdist.yanked) == ("demo_pkg-1.0.tar.gz", "sdist", False)


def test_a_page_in_html_says_the_same(registry: Registry, server: FolderServer, tmp_path: Path) -> None:
    name = "demo_pkg-1.0.tar.gz"
    page = tmp_path / "served" / "simple" / "demo-pkg"
    (page / "index.json").unlink()
    (page / "index.html").write_text(
        f'<!DOCTYPE html><a href="../../files/{name}#sha256={sha256(name)}" '
        f'data-requires-python="&gt;=3.8" data-yanked="">{name}</a>'
    )
    assert registry.release_files("demo-pkg", "1.0") == [
        ReleaseFile(
            filename=name,
            url=f"{server.url}/files/{name}",
            sha256=sha256(name),
            kind="sdist",
            requires_python=">=3.8",
            yanked=True,
        )
    ]


def listed(name: str) -> dict[str, Any]:
    return {"filename": name, "url": f"../../files/{name}", "hashes": {"sha256": "a" * 64}}


def write_odd_page(folder: Path, name: str) -> None:
    """Write a page of the files of all versions in turn, not one version after the other."""
    mixed = (name for names in itertools.zip_longest(*ODD_NAMES.values()) for name in names if name)
    write_json_page(folder, name=name, files=[listed(file) for file in mixed])


# The name decides where a dashed file name is cut: of one that fits no file, each is cut at its last dash.
@pytest.mark.parametrize("name", ["demo-pkg", "demo-pkg-1.0", "2", "elsewhere"])
def test_a_release_has_the_same_files_asked_for_alone_and_among_all(
    registry: Registry, tmp_path: Path, name: str
) -> None:
    write_odd_page(tmp_path / "served" / "simple" / "demo-pkg", name)
    releases = registry.releases("demo-pkg")
    assert {version: registry.release_files("demo-pkg", version) for version in releases} == releases
    missing = {*map(Version, [*list(ODD_NAMES)[:-1], "1", "2", "2.post1", "4.0"])} - {*releases}
    for version in missing:
        with pytest.raises(PlanError, match="no release"):
            registry.release_files("demo-pkg", version)


@pytest.mark.parametrize("version", list(ODD_NAMES)[:-1])
def test_a_release_is_found_by_the_names_of_its_files_however_odd(
    registry: Registry, tmp_path: Path, version: str
) -> None:
    write_odd_page(tmp_path / "served" / "simple" / "demo-pkg", "demo-pkg")
    files = registry.release_files("demo-pkg", version)
    assert [file.filename for file in files] == ODD_NAMES[version]


def test_a_malformed_entry_stops_no_other_release_unless_it_may_be_of_it(
    registry: Registry, tmp_path: Path
) -> None:
    page = tmp_path / "served" / "simple" / "demo-pkg"
    write_json_page(page, files=[listed("demo_pkg-1.0.tar.gz"), {"filename": "demo_pkg-1.1.tar.gz"}])
    assert len(registry.release_files("demo-pkg", "1.0")) == 1
    for entry in ({"filename": "demo_pkg-1.0.zip"}, {"filename": "unreadable"}, {"filename": 1}, "none"):
        write_json_page(page, files=[listed("demo_pkg-1.0.tar.gz"), entry])
        with pytest.raises(NetworkError, match="no usable page"):
            registry.release_files("demo-pkg", "1.0", refresh=True)


@pytest.mark.parametrize("version", ["1.0", "1", "1.0.0", "v1.0"])
def test_a_version_is_found_however_it_is_written(registry: Registry, version: str) -> None:
    assert len(registry.release_files("demo-pkg", version)) == 2


def test_an_answer_is_taken_from_the_cache_until_it_is_refreshed(
    registry: Registry, server: FolderServer
) -> None:
    first = registry.release_files("demo-pkg", "1.0")
    assert registry.release_files("demo-pkg", "1.0") == first
    assert asked(server) == 1
    registry.release_files("demo-pkg", "1.0", refresh=True)
    assert asked(server) == 2


def test_an_answer_that_is_too_old_is_asked_for_again(settings: Settings, server: FolderServer) -> None:
    with Registry(settings, max_age=datetime.timedelta(0)) as registry:
        for _ in range(2):
            assert not registry.has_answer("demo-pkg", "1.0")
            registry.release_files("demo-pkg", "1.0")
    assert asked(server) == 2


def test_a_known_answer_of_several_registries_may_be_another_ones(
    registry: Registry, settings: Settings
) -> None:
    assert not registry.has_answer("demo-pkg", "1.0")
    registry.release_files("demo-pkg", "1.0")
    assert registry.has_answer("Demo.pkg", "1")
    several = replace(settings, extra_registries=("http://127.0.0.1:9/simple/",))
    with Registry(several) as of_several:
        assert not of_several.has_answer("demo-pkg", "1.0")


def test_a_damaged_cache_is_asked_for_again(
    registry: Registry, server: FolderServer, settings: Settings
) -> None:
    first = registry.release_files("demo-pkg", "1.0")
    (answer,) = (settings.cache / "registry").rglob("*.json")
    answer.write_text('{"files": [')
    assert registry.release_files("demo-pkg", "1.0") == first
    assert asked(server) == 2


def test_registries_do_not_share_answers(registry: Registry, settings: Settings, tmp_path: Path) -> None:
    registry.release_files("demo-pkg", "1.0")
    (tmp_path / "other").mkdir()
    with FolderServer(tmp_path / "other") as other:
        elsewhere = replace(settings, registry=f"{other.url}/simple/")
        with Registry(elsewhere) as another, pytest.raises(PlanError):
            another.release_files("demo-pkg", "1.0")


def test_offline_everything_seen_before_is_there_and_the_rest_is_named(
    registry: Registry, server: FolderServer, settings: Settings
) -> None:
    kept = registry.fetch(sdist_of(registry))
    server.stop()
    with Registry(replace(settings, offline=True), max_age=datetime.timedelta(0)) as offline:
        assert offline.fetch(sdist_of(offline)) == kept
        with pytest.raises(NetworkError, match=r"what the registry has of demo-pkg 1\.1 is not cached"):
            offline.release_files("demo-pkg", "1.1")


def test_an_unknown_project_is_named(registry: Registry) -> None:
    with pytest.raises(PlanError, match="no project demo-pgk"):
        registry.release_files("demo-pgk", "1.0")


def test_an_unknown_version_is_named_with_those_near_it(registry: Registry) -> None:
    with pytest.raises(PlanError, match=r"no release 1\.0\.5 of demo-pkg") as unknown:
        registry.release_files("demo-pkg", "1.0.5")
    assert "1.0, 1.1" in unknown.value.hint


def test_what_is_no_version_is_said_to_be_none(registry: Registry) -> None:
    with pytest.raises(PlanError, match="'latest' is not a version"):
        registry.release_files("demo-pkg", "latest")


def test_files_without_a_hash_are_not_offered(registry: Registry, tmp_path: Path) -> None:
    page = tmp_path / "served" / "simple" / "demo-pkg"
    bare = {"filename": "demo_pkg-1.0.tar.gz", "url": "../../files/demo_pkg-1.0.tar.gz", "hashes": {}}
    write_json_page(page, files=[bare])
    with pytest.raises(PlanError, match="no SHA-256"):
        registry.release_files("demo-pkg", "1.0")


@pytest.mark.parametrize(
    ("name", "content"),
    [("index.json", "{"), ("index.json", '{"meta": {"api-version": "9.0"}, "name": "x", "files": []}')],
)
def test_a_page_that_is_none_is_explained(
    registry: Registry, tmp_path: Path, name: str, content: str
) -> None:
    (tmp_path / "served" / "simple" / "demo-pkg" / name).write_text(content)
    with pytest.raises(NetworkError, match="no usable page"):
        registry.release_files("demo-pkg", "1.0")


def test_a_server_error_that_passes_is_not_noticed(registry: Registry, server: FolderServer) -> None:
    server.failures[f"{PROJECT}/"] = 1
    assert registry.release_files("demo-pkg", "1.0")


def test_a_file_is_downloaded_once_and_put_where_it_is_wanted(
    registry: Registry, server: FolderServer, tmp_path: Path
) -> None:
    sdist = sdist_of(registry)
    first = registry.fetch(sdist, tmp_path / "one")
    second = registry.fetch(sdist, tmp_path / "two")
    assert (first, second) == (tmp_path / "one" / sdist.filename, tmp_path / "two" / sdist.filename)
    assert first.read_bytes() == second.read_bytes() == b"an sdist"
    assert server.requested[f"/files/{sdist.filename}"] == 1


def test_a_file_that_changed_in_the_cache_is_downloaded_again(
    registry: Registry, server: FolderServer
) -> None:
    kept = registry.fetch(sdist_of(registry))
    kept.write_bytes(b"damaged")
    assert registry.fetch(sdist_of(registry)).read_bytes() == b"an sdist"


def test_a_file_with_other_bytes_than_the_registry_said_is_refused(
    registry: Registry, server: FolderServer, settings: Settings
) -> None:
    sdist = sdist_of(registry)
    server.bodies[f"/files/{sdist.filename}"] = b"evil"
    with pytest.raises(IntegrityError):
        registry.fetch(sdist)
    assert [path for path in (settings.cache / "files").rglob("*") if path.is_file()] == []


def test_a_password_is_used_for_the_files_of_its_server_and_never_kept(
    settings: Settings, server: FolderServer, tmp_path: Path
) -> None:
    secret = server.url.replace("://", "://robot:s3cret@")
    server.password = "robot:s3cret"
    with Registry(settings) as unknown, pytest.raises(NetworkError, match="401"):
        unknown.release_files("demo-pkg", "1.0")
    with Registry(replace(settings, registry=f"{secret}/simple")) as known:
        assert known.fetch(sdist_of(known)).read_bytes() == b"an sdist"
    kept = [path for path in settings.cache.rglob("*") if path.is_file()]
    assert kept
    assert [path for path in kept if b"s3cret" in path.read_bytes()] == []
    assert with_password("http://elsewhere/x", f"{secret}/simple") == "http://elsewhere/x"


def test_several_threads_may_use_one_registry(registry: Registry, tmp_path: Path) -> None:
    def both(number: int) -> bytes:
        return registry.fetch(sdist_of(registry), tmp_path / "shared").read_bytes()

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(both, range(40))) == {b"an sdist"}
