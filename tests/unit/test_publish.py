from __future__ import annotations

import datetime
import sys
from pathlib import Path

import pytest
from pypi_simple import ProjectPage

from crosswheel.errors import IntegrityError, MissingToolError, StorageError, UsageError
from crosswheel.index.owner import LAST_PUBLICATION
from crosswheel.index.site import write_site
from crosswheel.publish import Stores, channel_of, open_store, prune, publish, set_yanked
from crosswheel.publish.contents import Publication
from crosswheel.stores.folder import FolderStore
from crosswheel.stores.objects import cache_control, content_type
from crosswheel.stores.store import Content
from support.publishing import published_wheels
from support.sites import add_wheel, prove, tree


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "channel")


def site_of(folder: Path, *wheels: tuple[str, str], body: bytes = b"") -> Path:
    for name, version in wheels:
        add_wheel(folder / "dist", name, version, body=body)
    write_site(folder / "dist", folder / "index")
    return folder / "index"


def test_a_site_is_published_whole(tmp_path: Path, store: FolderStore) -> None:
    report = publish(site_of(tmp_path, ("a", "1"), ("b", "2")), store)
    assert published_wheels(store) == set(report.new) == {"a-1-py3-none-any.whl", "b-2-py3-none-any.whl"}
    for page in ("index.html", "status.html", "project/a.html", "assets/site.css", "simple/index.html"):
        assert store.read(page)
    assert not list((tmp_path / "channel").rglob(".*"))


def test_publishing_adds_to_what_is_there(tmp_path: Path, store: FolderStore) -> None:
    publish(site_of(tmp_path / "x", ("a", "1")), store)
    report = publish(site_of(tmp_path / "y", ("a", "2"), ("b", "1")), store)
    assert len(published_wheels(store)) == 3
    assert (len(report.new), report.kept) == (2, 0)
    assert "a 1" in (store.read("status.html") or b"").decode()


def test_a_file_is_created_only_once(store: FolderStore) -> None:
    assert store.create("simple/a/x.whl", b"one")
    assert not store.create("simple/a/x.whl", b"two")
    assert store.read("simple/a/x.whl") == b"one"


def test_publishing_again_changes_nothing_that_readers_see(tmp_path: Path, store: FolderStore) -> None:
    site = site_of(tmp_path, ("a", "1"))
    publish(site, store)
    before = tree(tmp_path / "channel")
    report = publish(site, store)
    assert (report.new, report.kept, report.pages) == ((), 1, ())
    after = tree(tmp_path / "channel")
    # When it was published last is for pruning alone; it differs if a second has gone by.
    assert {p: b for p, b in after.items() if p != LAST_PUBLICATION} == {
        p: b for p, b in before.items() if p != LAST_PUBLICATION
    }


def test_what_is_published_is_never_changed(tmp_path: Path, store: FolderStore) -> None:
    publish(site_of(tmp_path / "x", ("a", "1"), body=b"one"), store)
    before = tree(tmp_path / "channel")
    other = site_of(tmp_path / "y", ("a", "1"), ("b", "1"), body=b"another")
    with pytest.raises(IntegrityError, match=r"a-1-py3-none-any\.whl was published"):
        publish(other, store)
    assert tree(tmp_path / "channel") == before


def test_a_dry_run_says_what_would_be_done_and_does_nothing(tmp_path: Path, store: FolderStore) -> None:
    site = site_of(tmp_path, ("a", "1"))
    assert publish(site, store, dry_run=True).new == ("a-1-py3-none-any.whl",)
    assert not (tmp_path / "channel").exists()


def test_several_targets_meet_in_one_channel(tmp_path: Path, store: FolderStore) -> None:
    for target, tag in (("ot2", "cp310-cp310-linux_armv7l"), ("flex", "cp310-cp310-linux_aarch64")):
        dist = tmp_path / target / "dist"
        prove(add_wheel(dist, "native", "1", tag=tag), target)
        prove(add_wheel(dist, "pure", "1"), target)
        write_site(dist, tmp_path / target / "index")
        publish(tmp_path / target / "index", store)
    assert len(published_wheels(store)) == 3
    page = (store.read("project/pure.html") or b"").decode()
    assert "ot2: loaded and run" in page
    assert "flex: loaded and run" in page
    assert "runs on ot2" in (store.read("index.html") or b"").decode()


def test_yank_and_unyank(tmp_path: Path, store: FolderStore) -> None:
    publish(site_of(tmp_path, ("My.Pkg", "1.0"), ("my-pkg", "2")), store)

    def reasons() -> list[tuple[bool, str | None]]:
        page = (store.read("simple/my-pkg/index.html") or b"").decode()
        return [(p.is_yanked, p.yanked_reason) for p in ProjectPage.from_html("my-pkg", page).packages]

    assert set_yanked(store, "my_pkg", "1", "it <breaks>") == ["my_pkg-1.0-py3-none-any.whl"]
    assert reasons() == [(True, "it <breaks>"), (False, None)]
    publish(tmp_path / "index", store)
    assert reasons()[0][0], "publishing again must not take it back"
    set_yanked(store, "my-pkg", "1.0", None)
    assert reasons()[0] == (False, None)
    for name, version in (("my-pkg", "3"), ("other", "1"), ("my-pkg", "nonsense")):
        with pytest.raises(UsageError, match="is not in"):
            set_yanked(store, name, version, "")


def test_only_a_finished_index_is_published(tmp_path: Path, store: FolderStore) -> None:
    with pytest.raises(UsageError, match="no finished index"):
        publish(tmp_path, store)
    site = site_of(tmp_path, ("a", "1"))
    (site / "simple/a/a-1-py3-none-any.whl").unlink()
    (site / "simple/a/a-1-py3-none-any.whl").write_bytes(b"damaged")
    with pytest.raises(IntegrityError, match="not what the index says"):
        publish(site, store)
    assert published_wheels(store) == set()


def test_half_a_publication_is_invisible_and_finished_by_the_next(tmp_path: Path) -> None:
    site = site_of(tmp_path, *((f"p{number}", "1") for number in range(5)))
    calls = _count_calls(site, FolderStore(tmp_path / "whole"))
    for limit in range(1, calls, 3):
        store = _Dying(tmp_path / f"channel-{limit}", limit)
        with pytest.raises(StorageError, match="gone"):
            publish(site, store)
        healthy = FolderStore(tmp_path / f"channel-{limit}")
        published_wheels(healthy)
        publish(site, healthy)
        assert len(published_wheels(healthy)) == 5


class _Dying(FolderStore):
    """A store that vanishes after some writes."""

    parallel = 1

    def __init__(self, root: Path, writes: int) -> None:
        super().__init__(root)
        self.writes = writes

    def _count(self) -> None:
        self.writes -= 1
        if self.writes < 0:
            raise StorageError("the store is gone", hint="")

    def create(self, path: str, content: Content) -> bool:
        self._count()
        return super().create(path, content)

    def write(self, path: str, content: bytes) -> None:
        self._count()
        super().write(path, content)


def _count_calls(site: Path, store: FolderStore) -> int:
    counting = _Dying(Path(store.url), 10_000)
    publish(site, counting)
    return 10_000 - counting.writes


def test_a_publisher_that_was_overtaken_makes_its_pages_again(tmp_path: Path) -> None:
    first = site_of(tmp_path / "x", ("a", "1"))
    second = site_of(tmp_path / "y", ("a", "2"), ("b", "1"))

    class Overtaken(FolderStore):
        """While this one reads what its pages are made of, another publishes."""

        overtaken = False

        def listing(self, folder: str) -> dict[str, str]:
            listing = super().listing(folder)
            if listing and not self.overtaken:
                self.overtaken = True
                publish(second, FolderStore(tmp_path / "channel"))
            return listing

    publish(first, Overtaken(tmp_path / "channel"))
    assert len(published_wheels(FolderStore(tmp_path / "channel"))) == 3


@pytest.mark.parametrize(
    ("ref", "name", "url"),
    [
        ("refs/heads/main", "staging", "s3://staging"),
        ("refs/tags/packages@v1.2.0", "production", "s3://production/robots"),
        ("refs/heads/fix", "fix", "s3://dev/base/fix"),
        ("refs/heads/feature/new-robot", "feature/new-robot", "s3://dev/base/feature/new-robot"),
    ],
)
def test_the_channel_follows_git(ref: str, name: str, url: str) -> None:
    stores = Stores("s3://dev/base/", "s3://staging", "s3://production/robots")
    channel = channel_of(ref, stores)
    assert (channel.name, channel.url) == (name, url)


@pytest.mark.parametrize(
    "ref",
    ["refs/tags/v1", "refs/heads/", "main", "refs/heads/a/simple", "refs/heads/../x", "refs/pull/1/merge"],
)
def test_other_references_are_published_nowhere(ref: str) -> None:
    with pytest.raises(UsageError, match="not published anywhere"):
        channel_of(ref, Stores("d", "s", "p"))
    with pytest.raises(UsageError, match="it is not known where the staging"):
        channel_of("refs/heads/main", Stores())


def test_wheels_are_kept_by_caches_and_pages_are_not() -> None:
    assert "immutable" in cache_control("simple/a/a-1-py3-none-any.whl")
    assert "immutable" in cache_control("simple/a/a-1-py3-none-any.whl.metadata")
    for page in (
        "simple/a/index.html",
        "index.html",
        "simple/a/a-1-py3-none-any.whl.yanked",
        "assets/site.css",
    ):
        assert cache_control(page) == "public, max-age=60"
    assert content_type("simple/a/index.json") == "application/vnd.pypi.simple.v1+json"
    assert content_type("simple/a/a-1-py3-none-any.whl.proof.json") == "application/json"


def test_unknown_stores_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(UsageError, match="no such kind of store"):
        open_store("nonsense://bucket")
    with pytest.raises(MissingToolError, match="needs a library"):
        open_store("gs://bucket")


def test_a_store_without_rights_is_named(tmp_path: Path) -> None:
    site = site_of(tmp_path, ("a", "1"))
    with pytest.raises(StorageError, match=r"/sys/robots.*(not permitted|denied|ead-only)") as caught:
        publish(site, FolderStore(Path("/sys/robots")))  # where not even root may write
    assert "write" in caught.value.hint


def test_somebody_elses_file_in_a_channel_is_named(tmp_path: Path, store: FolderStore) -> None:
    publish(site_of(tmp_path, ("a", "1")), store)
    store.write("simple/a/a-1-py3-none-any.whl.entry.json", b"{}")
    with pytest.raises(StorageError, match=r"entry\.json is not a wheel's record"):
        publish(tmp_path / "index", store)


def test_old_development_channels_are_pruned_and_no_others(tmp_path: Path, store: FolderStore) -> None:
    site = site_of(tmp_path, ("a", "1"))
    for branch in ("old", "old/part", "kept", "new"):
        publish(site, FolderStore(tmp_path / "channel" / branch))
    long_ago = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
    for branch in ("old", "kept"):
        store.write(
            f"{branch}/last-publication.json", Publication(published=long_ago).model_dump_json().encode()
        )
    before = datetime.datetime(2021, 1, 1, tzinfo=datetime.timezone.utc)
    assert prune(store, before, keep=["kept"], dry_run=True) == ["old"]
    assert published_wheels(FolderStore(tmp_path / "channel/old"))
    assert prune(store, before, keep=["kept"]) == ["old"]
    assert [path.name for path in (tmp_path / "channel/old").iterdir()] == ["part"]
    for branch in ("old/part", "kept", "new"):
        assert published_wheels(FolderStore(tmp_path / "channel" / branch))
