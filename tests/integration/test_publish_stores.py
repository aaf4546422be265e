"""Publishing to real servers, by several processes at once, and by processes that are killed."""

from __future__ import annotations

import datetime
import itertools
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import s3fs

from crosswheel.errors import IntegrityError, StorageError
from crosswheel.index.site import write_site
from crosswheel.publish import WheelSelection, open_store, prune, publish, set_yanked
from crosswheel.shared_cache.cache import SharedCache
from crosswheel.shared_cache.configured import open_cache_store
from crosswheel.shared_cache.guarded import GuardedStore
from crosswheel.shared_cache.upkeep import prune as prune_cache
from crosswheel.shared_cache.upkeep import verify
from crosswheel.signing.keys import SigningKey
from support.gcs import gcs_server
from support.publishing import published_wheels, start_publisher
from support.s3 import s3_server
from support.sftp import sftp_server
from support.sites import add_wheel, prove

NewUrl = Callable[[], str]


@pytest.fixture(scope="module")
def environment() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def s3(environment: pytest.MonkeyPatch) -> Iterator[None]:
    with s3_server(environment):
        yield


@pytest.fixture(scope="module")
def gcs(environment: pytest.MonkeyPatch) -> Iterator[None]:
    with gcs_server(environment):
        yield


@pytest.fixture(params=["folder", "s3", "gcs", "sftp"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> NewUrl:
    """Gives the URL of a channel that nothing was published to."""
    numbers = itertools.count()
    if request.param in ("s3", "gcs"):
        request.getfixturevalue(request.param)
        return lambda: f"{request.param}://robots/{tmp_path.name}/{next(numbers)}"
    base = request.getfixturevalue("sftp") if request.param == "sftp" else ""
    return lambda: f"{base}{tmp_path}/channels/{next(numbers)}"


@pytest.fixture(scope="module")
def sftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with sftp_server(tmp_path_factory.mktemp("sftp")) as url:
        yield url


def site_of(folder: Path, *wheels: tuple[str, str], body: bytes = b"") -> Path:
    for name, version in wheels:
        prove(add_wheel(folder / "dist", name, version, body=body))
    write_site(folder / "dist", folder / "index")
    return folder / "index"


def test_every_store_publishes_adds_refuses_and_yanks(new_url: NewUrl, tmp_path: Path) -> None:
    store = open_store(new_url())
    assert publish(site_of(tmp_path / "x", ("a", "1"), ("b", "1")), store).pages
    assert publish(tmp_path / "x/index", store).pages == ()
    publish(site_of(tmp_path / "y", ("a", "2")), store)
    assert len(published_wheels(store)) == 3
    with pytest.raises(IntegrityError, match="was published"):
        publish(site_of(tmp_path / "z", ("a", "2"), body=b"other"), store)
    set_yanked(store, WheelSelection("a", "1"), "bad")
    assert b'data-yanked="bad"' in (store.read("simple/a/index.html") or b"")
    set_yanked(store, WheelSelection("a", "1"), None)
    assert b"data-yanked" not in (store.read("simple/a/index.html") or b"")


def test_every_store_is_rid_of_old_channels(new_url: NewUrl, tmp_path: Path) -> None:
    base = new_url()
    site = site_of(tmp_path, ("a", "1"), ("b", "1"))
    for branch in ("old", "old/part"):
        publish(site, open_store(f"{base}/{branch}"))
    store = open_store(base)
    assert prune(store, datetime.datetime.now(datetime.timezone.utc), keep=["old/part"]).removed == ["old"]
    assert {path.split("/")[1] for path in store.listing("")} == {"part"}
    assert len(published_wheels(open_store(f"{base}/old/part"))) == 2
    # Where a store has folders, they lie on this machine; none is left empty.
    assert {path.name for path in tmp_path.glob("channels/*/old/*")} <= {"part"}


def test_every_store_tells_that_a_wheel_is_not_whole_and_takes_it_again(
    new_url: NewUrl, tmp_path: Path
) -> None:
    store, site = open_store(new_url()), site_of(tmp_path, ("a", "1"), ("b", "1"))
    publish(site, store)
    store.remove("simple/a/a-1-py3-none-any.whl")
    store.write("simple/b/b-1-py3-none-any.whl.metadata", b"cut")
    assert set(publish(site, store).mended) == {"a-1-py3-none-any.whl", "b-1-py3-none-any.whl"}
    assert len(published_wheels(store)) == 2


def test_a_file_is_created_only_once(new_url: NewUrl) -> None:
    store = open_store(new_url())
    assert store.create("simple/a/x.whl", b"one")
    assert not store.create("simple/a/x.whl", b"two")
    assert store.read("simple/a/x.whl") == b"one"
    store.write("simple/a/x.html", b"one")
    store.write("simple/a/x.html", b"two")
    assert store.read("simple/a/x.html") == b"two"
    assert set(store.listing("simple")) == {"simple/a/x.whl", "simple/a/x.html"}
    store.remove("simple/a/x.html")
    store.remove("simple/a/x.html")
    assert store.read("simple/a/x.html") is None


def test_publishers_at_once_lose_nothing(new_url: NewUrl, tmp_path: Path) -> None:
    sites = [
        site_of(tmp_path / str(number), ("shared", "1"), ("shared", f"2.{number}"), (f"own-{number}", "1"))
        for number in range(3)
    ]
    url = new_url()
    publishers = [start_publisher(site, url) for site in sites]
    for publisher in publishers:
        assert publisher.communicate(timeout=120)[1] == ""
    assert len(published_wheels(open_store(url))) == 7


def test_of_two_publishers_with_other_bytes_only_one_wins(new_url: NewUrl, tmp_path: Path) -> None:
    sites = [site_of(tmp_path / body, ("a", "1"), body=body.encode()) for body in ("one", "two")]
    url = new_url()
    publishers = [start_publisher(site, url) for site in sites]
    said = sorted(publisher.communicate(timeout=120)[1].strip() for publisher in publishers)
    assert said[0] == ""
    assert said[1].startswith("IntegrityError: a-1-py3-none-any.whl was published")
    assert len(published_wheels(open_store(url))) == 1


# Not GCS: each publisher would take seconds to load its library, and the way is the same as with S3.
@pytest.mark.parametrize("new_url", ["folder", "s3", "sftp"], indirect=True)
def test_a_publisher_killed_at_any_moment_leaves_a_consistent_channel(
    new_url: NewUrl, tmp_path: Path
) -> None:
    site = site_of(tmp_path, *((f"p{number}", "1") for number in range(4)))
    chance = random.Random(4)
    moments = []
    for _ in range(20):
        store = open_store(url := new_url())
        publisher = start_publisher(site, url)
        wanted = chance.randrange(1, 4 * 4 + 8)
        deadline = time.monotonic() + 60
        # How far it came is seen in the store: no moment is missed on a slow or a fast machine.
        while len(store.listing("simple")) < wanted and publisher.poll() is None:
            assert time.monotonic() < deadline
        publisher.kill()
        publisher.communicate()
        moments.append(len(published_wheels(store)))
        publish(site, store)
        assert len(published_wheels(store)) == 4
    assert 0 in moments


def test_s3_objects_have_types_and_cache_headers(s3: None, tmp_path: Path) -> None:
    publish(site_of(tmp_path, ("a", "1")), open_store("s3://robots/headers"))
    objects = s3fs.S3FileSystem(skip_instance_cache=True)

    def headers(path: str) -> tuple[str, str]:
        said = objects.call_s3("head_object", Bucket="robots", Key=f"headers/{path}")
        return said["ContentType"].partition(";")[0], said["CacheControl"]

    assert headers("simple/a/index.html") == ("text/html", "public, max-age=60")
    assert headers("simple/a/index.json")[0] == "application/vnd.pypi.simple.v1+json"
    kept = "public, max-age=31536000, immutable"
    assert headers("simple/a/a-1-py3-none-any.whl") == ("application/octet-stream", kept)


def test_gcs_objects_have_types_and_cache_headers(gcs: None, tmp_path: Path) -> None:
    publish(site_of(tmp_path, ("a", "1")), open_store("gcs://robots/headers"))
    import gcsfs  # the server's settings count when it is imported

    objects = gcsfs.GCSFileSystem(skip_instance_cache=True)

    def headers(path: str) -> tuple[str, str]:
        said = objects.info(f"robots/headers/{path}")
        return said["contentType"].partition(";")[0], said["cacheControl"]

    assert headers("simple/a/index.html") == ("text/html", "public, max-age=60")
    assert headers("simple/a/index.json")[0] == "application/vnd.pypi.simple.v1+json"
    kept = "public, max-age=31536000, immutable"
    assert headers("simple/a/a-1-py3-none-any.whl") == ("application/octet-stream", kept)


def test_a_server_that_knows_no_conditions_still_refuses_other_bytes(tmp_path: Path) -> None:
    site, other = (site_of(tmp_path / body, ("a", "1"), body=body.encode()) for body in ("one", "two"))
    with pytest.MonkeyPatch.context() as patch, s3_server(patch, conditions=False):
        store = open_store("s3://robots/index")
        assert store.create("marker", b"one")
        assert store.create("marker", b"two"), "this server should pass over the condition"
        publish(site, store)
        with pytest.raises(IntegrityError, match="was published"):
            publish(other, store)
        assert len(published_wheels(store)) == 1


def test_a_bucket_that_is_not_there_or_a_server_that_vanished_is_explained(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    site = site_of(tmp_path, ("a", "1"))
    with pytest.MonkeyPatch.context() as patch, s3_server(patch) as server:
        with pytest.raises(StorageError, match="s3://nobody"):
            publish(site, open_store("s3://nobody/index"))
        store = open_store("s3://robots/index")
        publish(site, store)
        server.kill()
        server.wait()
        patch.setenv("AWS_MAX_ATTEMPTS", "1")
        with pytest.raises(StorageError) as caught:
            publish(site, open_store("s3://robots/index"))
    assert "credentials" in caught.value.hint


def test_every_store_serves_as_a_shared_cache(new_url: NewUrl, tmp_path: Path) -> None:
    url, key = new_url(), SigningKey.new()
    warnings: list[str] = []

    def cache() -> SharedCache:
        store = GuardedStore(url, lambda: open_cache_store(url), warnings.append, 60)
        return SharedCache([store], [key.public], key, warnings.append)

    digests = [f"{number:064x}" for number in range(3)]
    assert cache().get("wheel", digests[0], tmp_path / "got") is None
    files = {}
    for digest in digests:
        files[digest] = tmp_path / f"demo-{digest[-1]}.whl"
        files[digest].write_bytes(digest.encode() * 10_000)

    def put(digest: str) -> bool:
        return cache().put("wheel", digest, {"n": digest[-1]}, {"wheel": files[digest]})

    with ThreadPoolExecutor(6) as pool:  # each digest from two writers at once
        assert all(pool.map(put, digests * 2))
    for digest in digests:
        record = cache().get("wheel", digest, tmp_path / "got")
        assert record is not None
        assert (tmp_path / "got" / files[digest].name).read_bytes() == files[digest].read_bytes()
    store = open_cache_store(url)
    assert verify(store, [key.public]) == {}
    store.write(record.blobs["wheel"].path, b"poisoned")
    assert list(verify(store, [key.public])) == [record.blobs["wheel"].path]
    assert cache().get("wheel", digests[2], tmp_path / "got") is None
    assert put(digests[2])
    assert verify(store, [key.public]) == {}
    assert prune_cache(store, [key.public], max_size=0).records == 3
    assert not store.listing("")
    assert [warning for warning in warnings if "damaged" not in warning] == []
