from __future__ import annotations

import datetime
import errno
import hashlib
import io
import json
import os
import sys
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from pypi_simple import ProjectPage
from typer.testing import CliRunner

from crosswheel.cli import app
from crosswheel.errors import IntegrityError, MissingToolError, StorageError, UsageError
from crosswheel.index.owner import LAST_PUBLICATION
from crosswheel.index.site import write_site
from crosswheel.publish import Stores, WheelSelection, channel_of, open_store, prune, publish, set_yanked
from crosswheel.publish.contents import Publication
from crosswheel.stores.folder import FolderStore
from crosswheel.stores.objects import cache_control, content_type
from crosswheel.stores.store import Content, Stored
from support.publishing import published_wheels
from support.sites import add_wheel, prove, tree
from support.wheels import make_wheel

FUTURE = datetime.datetime(2100, 1, 1, tzinfo=datetime.timezone.utc)


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

    assert set_yanked(store, WheelSelection("my_pkg", "1"), "it <breaks>").wheels == (
        "my_pkg-1.0-py3-none-any.whl",
    )
    assert reasons() == [(True, "it <breaks>"), (False, None)]
    publish(tmp_path / "index", store)
    assert reasons()[0][0], "publishing again must not take it back"
    set_yanked(store, WheelSelection("my-pkg", "1.0"), None)
    assert reasons()[0] == (False, None)
    for name, version in (("my-pkg", "3"), ("other", "1"), ("my-pkg", "nonsense")):
        with pytest.raises(UsageError, match="is not in"):
            set_yanked(store, WheelSelection(name, version), "")


def test_local_versions_of_a_yanked_release_go_with_it_as_pip_prefers_them(
    tmp_path: Path, store: FolderStore
) -> None:
    versions = ("3.3.4", "3.3.4+ot2", "3.3.4+flex.1", "3.3.40")
    publish(site_of(tmp_path, *(("prefect", version) for version in versions)), store)
    assert len(set_yanked(store, WheelSelection("prefect", "3.3.4"), "bad").wheels) == 3
    assert yanked(store) == {f"prefect-{version}-py3-none-any.whl" for version in versions[:3]}
    page = (store.read("project/prefect.html") or b"").decode()
    assert "3.3.40</span></h1>" in page
    set_yanked(store, WheelSelection("prefect", "3.3.4"), None)
    set_yanked(store, WheelSelection("prefect", "3.3.4+ot2"), "bad")
    assert yanked(store) == {"prefect-3.3.4+ot2-py3-none-any.whl"}


def test_one_file_or_one_target_is_yanked_where_that_is_asked_for(tmp_path: Path, store: FolderStore) -> None:
    for target, tag in (("ot2", "cp310-cp310-linux_armv7l"), ("flex", "cp310-cp310-linux_aarch64")):
        prove(add_wheel(tmp_path / "dist", "a", "1", tag=tag), target)
    publish(site_of(tmp_path), store)
    set_yanked(store, WheelSelection("a", "1", target="ot2"), "bad")
    assert yanked(store) == {"a-1-cp310-cp310-linux_armv7l.whl"}
    set_yanked(store, WheelSelection("a", "1"), None)
    set_yanked(store, WheelSelection("a", "1", file="a-1-cp310-cp310-linux_aarch64.whl"), "bad")
    assert yanked(store) == {"a-1-cp310-cp310-linux_aarch64.whl"}
    for selection in (WheelSelection("a", "1", target="pi"), WheelSelection("a", "1", file="a-1.whl")):
        with pytest.raises(UsageError, match="no wheel of a 1") as caught:
            set_yanked(store, selection, "")
        assert "linux_armv7l" in caught.value.hint


def test_bundles_that_hold_a_yanked_release_are_named_and_yanked_on_request(
    tmp_path: Path, store: FolderStore
) -> None:
    home = "prefect-3.data/data/lib/crosswheel/prefect/lib/python3.10/site-packages"
    inside = {f"{home}/h11-0.14.0.dist-info/METADATA": b"Name: h11\n"}
    bundle = make_wheel(tmp_path / "dist", "prefect", "3+ot2", inside).name
    make_wheel(tmp_path / "dist", "other", "1+ot2", {f"{home}/h11-0.16.dist-info/METADATA": b"Name: h11\n"})
    publish(site_of(tmp_path, ("h11", "0.14"), ("h11", "0.16")), store)
    assert set_yanked(store, WheelSelection("h11", "0.14"), "hole").bundles == (bundle,)
    assert yanked(store) == {"h11-0.14-py3-none-any.whl"}
    set_yanked(store, WheelSelection("h11", "0.14", bundles=True), "hole")
    assert yanked(store) == {"h11-0.14-py3-none-any.whl", bundle}


def test_a_new_wheel_of_a_yanked_release_is_named(tmp_path: Path, store: FolderStore) -> None:
    publish(site_of(tmp_path, ("a", "1"), ("b", "1")), store)
    set_yanked(store, WheelSelection("a", "1"), "bad")
    assert publish(site_of(tmp_path, ("a", "1.0+ot2"), ("b", "1+ot2")), store).of_yanked == (
        "a-1.0+ot2-py3-none-any.whl",
    )


def test_a_reason_that_is_not_text_is_refused_and_one_that_got_there_is_shown(
    tmp_path: Path, store: FolderStore
) -> None:
    publish(site_of(tmp_path, ("a", "1")), store)
    with pytest.raises(UsageError, match="reason is not text"):
        set_yanked(store, WheelSelection("a", "1"), "na\udcefve")
    store.write("simple/a/a-1-py3-none-any.whl.yanked", b"na\xefve")
    publish(tmp_path / "index", store)
    assert "na\N{REPLACEMENT CHARACTER}" in (store.read("simple/a/index.html") or b"").decode()


def yanked(store: FolderStore) -> set[str]:
    """Return the file names of wheels that pip is told not to use, by both forms of their pages."""
    found = set()
    for path in store.listing("simple"):
        folder, _, name = path.rpartition("/")
        if name == "index.json" and folder != "simple":
            page = json.loads(store.read(path) or b"")
            found.update(file["filename"] for file in page["files"] if file.get("yanked"))
            parsed = ProjectPage.from_html(page["name"], (store.read(f"{folder}/index.html") or b"").decode())
            assert {p.filename for p in parsed.packages if p.is_yanked} <= found
    return found


@pytest.mark.parametrize("suffix", ["", ".metadata"])
@pytest.mark.parametrize("damage", ["lost", "cut"])
def test_a_wheel_is_published_as_long_as_it_is_whole_and_publishing_again_mends_it(
    tmp_path: Path, store: FolderStore, suffix: str, damage: str
) -> None:
    site = site_of(tmp_path, ("a", "1"), ("b", "1"))
    publish(site, store)
    before = tree(tmp_path / "channel")
    path = f"simple/a/a-1-py3-none-any.whl{suffix}"
    if damage == "lost":
        store.remove(path)
    else:
        store.write(path, (store.read(path) or b"")[:-1])
    publish(site_of(tmp_path / "other", ("c", "1")), store)
    assert published_wheels(store) == {"b-1-py3-none-any.whl", "c-1-py3-none-any.whl"}
    assert store.read("project/a.html") is None
    assert store.read("simple/a/index.html") is None
    with pytest.raises(IntegrityError, match="was published"):
        publish(site_of(tmp_path / "changed", ("a", "1"), body=b"other"), store)
    assert publish(site, store, dry_run=True).mended == ("a-1-py3-none-any.whl",)
    assert publish(site, store).mended == ("a-1-py3-none-any.whl",)
    after = tree(tmp_path / "channel")
    assert {path: after[path] for path in before if "/a/" in path} == {
        path: data for path, data in before.items() if "/a/" in path
    }
    assert len(published_wheels(store)) == 3


def test_records_of_before_that_do_not_tell_the_size_of_metadata_count(
    tmp_path: Path, store: FolderStore
) -> None:
    publish(site_of(tmp_path, ("a", "1")), store)
    path = "simple/a/a-1-py3-none-any.whl.entry.json"
    record = json.loads(store.read(path) or b"")
    del record["metadata_size"]
    store.write(path, json.dumps(record).encode())
    assert publish(tmp_path / "index", store).kept == 1
    store.write("simple/a/a-1-py3-none-any.whl.metadata", b"")
    assert publish(tmp_path / "index", store).mended == ("a-1-py3-none-any.whl",)


def test_what_another_version_of_crosswheel_published_is_read_without_what_it_says_more(
    tmp_path: Path, store: FolderStore
) -> None:
    prove(add_wheel(tmp_path / "dist", "a", "1"))
    publish(site_of(tmp_path), store)
    for path in (LAST_PUBLICATION, *store.listing("simple")):
        if path.endswith("json") and not path.endswith("index.json"):
            store.write(path, json.dumps({**json.loads(store.read(path) or b""), "new": {"x": 1}}).encode())
    publish(site_of(tmp_path / "other", ("b", "1")), store)
    set_yanked(store, WheelSelection("a", "1"), "bad")
    assert "ot2: loaded and run" in (store.read("project/a.html") or b"").decode()
    assert prune(FolderStore(tmp_path), FUTURE).removed == ["channel"]


@pytest.mark.parametrize("what", [LAST_PUBLICATION, ".entry.json", ".ot2.proof.json"])
def test_what_only_a_newer_version_of_crosswheel_understands_is_said_to_be_that(
    tmp_path: Path, store: FolderStore, what: str
) -> None:
    prove(add_wheel(tmp_path / "dist", "a", "1"))
    publish(site_of(tmp_path), store)
    path = what if what == LAST_PUBLICATION else f"simple/a/a-1-py3-none-any.whl{what}"
    store.write(path, json.dumps({**json.loads(store.read(path) or b""), "schema_version": 99}).encode())
    for act in (
        lambda: publish(tmp_path / "index", store),
        lambda: set_yanked(store, WheelSelection("a", "1"), ""),
    ):
        with pytest.raises(StorageError, match="newer version of crosswheel") as caught:
            act()
        assert path in caught.value.message


def test_a_channel_that_is_not_understood_stays_and_the_others_are_pruned(
    tmp_path: Path, store: FolderStore
) -> None:
    site = site_of(tmp_path, ("a", "1"))
    for branch in ("new", "nonsense", "old"):
        publish(site, FolderStore(tmp_path / "channel" / branch), channel=branch)
    said = Publication(published=FUTURE).model_dump(mode="json")
    store.write(f"new/{LAST_PUBLICATION}", json.dumps({**said, "schema_version": 99}).encode())
    store.write(f"nonsense/{LAST_PUBLICATION}", b"\xff")
    pruned = prune(store, FUTURE)
    assert pruned.removed == ["old"]
    assert not (tmp_path / "channel/old").exists()
    assert {str(error).split("/")[-2] for error in pruned.unknown} == {"new", "nonsense"}
    for branch in ("new", "nonsense"):
        assert (tmp_path / "channel" / branch / "simple/a/a-1-py3-none-any.whl").is_file()


def test_pruning_removes_what_publishing_wrote_and_nothing_else(tmp_path: Path, store: FolderStore) -> None:
    site = site_of(tmp_path, ("a", "1"))
    publish(site, FolderStore(tmp_path / "channel/old"))
    mine = ("README", "simple/notes.txt", "simple/a/notes.txt", "project/data.csv", "assets/logo.svg")
    for path in mine:
        store.write(f"old/{path}", b"mine")
    assert prune(store, FUTURE).removed == ["old"]
    assert set(store.listing("old")) == {f"old/{path}" for path in mine}


def test_a_channel_of_another_name_than_its_place_is_no_branch_and_is_not_pruned(tmp_path: Path) -> None:
    site = site_of(tmp_path, ("a", "1"))
    publish(site, FolderStore(tmp_path / "stores/production"), channel="production/of the robots")
    publish(site, FolderStore(tmp_path / "stores/dev/x"), channel="x")
    assert prune(FolderStore(tmp_path / "stores"), FUTURE).removed == []
    assert prune(FolderStore(tmp_path / "stores/dev"), FUTURE).removed == ["x"]


def test_pruning_that_dies_leaves_no_record_without_its_wheel_and_publishing_mends_all(
    tmp_path: Path,
) -> None:
    site = site_of(tmp_path, ("a", "1"), ("b", "1"))
    publish(site, FolderStore(tmp_path / "whole/old"))
    for limit in range(1, len(FolderStore(tmp_path / "whole").listing("")), 2):
        root = tmp_path / str(limit)
        publish(site, FolderStore(root / "old"))
        store = _Dying(root, limit)
        with pytest.raises(StorageError, match="gone"):
            prune(store, FUTURE)
        channel = FolderStore(root / "old")
        published_wheels(channel)
        there = channel.listing("simple")
        assert {path.removesuffix(".entry.json") for path in there if path.endswith(".entry.json")} <= set(
            there
        )
        publish(site, channel)
        assert len(published_wheels(channel)) == 2


def test_a_channel_that_another_begins_meanwhile_is_no_stranger(tmp_path: Path) -> None:
    first, second = (site_of(tmp_path / name, (name, "1")) for name in ("a", "b"))

    class Begun(FolderStore):
        """While this one looks whose the place is, another begins a channel there."""

        begun = False

        def read_all(self, paths: Iterable[str]) -> dict[str, bytes]:
            found = super().read_all(paths)
            if not self.begun:
                self.begun = True
                publish(second, FolderStore(tmp_path / "channel"))
            return found

    publish(first, Begun(tmp_path / "channel"))
    assert len(published_wheels(FolderStore(tmp_path / "channel"))) == 2


@pytest.mark.parametrize("file", ["index.html", "simple/a/a-1-py3-none-any.whl", "project/a.html"])
def test_a_place_with_something_else_in_it_is_refused_and_left_as_it_is(
    tmp_path: Path, store: FolderStore, file: str
) -> None:
    site = site_of(tmp_path, ("b", "1"))
    store.write(file, b"mine")
    for dry_run in (True, False):
        with pytest.raises(UsageError, match="did not write, such as"):
            publish(site, store, dry_run=dry_run)
    assert tree(tmp_path / "channel") == {file: b"mine"}


def test_an_index_is_no_channel(tmp_path: Path) -> None:
    site, other = site_of(tmp_path / "x", ("a", "1")), site_of(tmp_path / "y", ("b", "1"))
    before = tree(other)
    for act in (publish, lambda _, store: set_yanked(store, WheelSelection("b", "1"), "")):
        with pytest.raises(UsageError, match="is an index that `crosswheel index` makes"):
            act(site, FolderStore(other))
    assert tree(other) == before


def test_links_stay_as_they_were_told_to_be(tmp_path: Path, store: FolderStore) -> None:
    def link() -> str:
        return ProjectPage.from_html("a", (store.read("simple/a/index.html") or b"").decode()).packages[0].url

    site, url = site_of(tmp_path, ("a", "1")), "https://robots.example/x/"
    publish(site, store, root_url=url)
    set_yanked(store, WheelSelection("a", "1"), "bad")
    assert link().startswith(url)
    publish(site, store)
    assert link().startswith(url)
    set_yanked(store, WheelSelection("a", "1"), None, root_url="http://other.example")
    publish(site, store)
    assert link().startswith("http://other.example/simple/a/a-1")
    publish(site, store, root_url="")
    assert link().startswith("a-1")


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

    def remove(self, path: str) -> None:
        self._count()
        super().remove(path)

    def remove_all(self, paths: Iterable[str]) -> None:
        super().remove_all(sorted(paths))  # a wheel before its record, as far as that is left to the store


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

        def listing(self, folder: str) -> dict[str, Stored]:
            listing = super().listing(folder)
            if listing and not self.overtaken:
                self.overtaken = True
                publish(second, FolderStore(tmp_path / "channel"))
            return listing

    publish(first, Overtaken(tmp_path / "channel"))
    assert len(published_wheels(FolderStore(tmp_path / "channel"))) == 3


def test_a_large_channel_is_read_and_written_some_projects_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crosswheel.publish.contents._PORTION", 12, raising=False)

    class Counting(FolderStore):
        """Notes how many files were asked for, or written, at once."""

        most = 0

        def read_all(self, paths: Iterable[str]) -> dict[str, bytes]:
            selected = list(paths)
            self.most = max(self.most, len(selected))
            return super().read_all(selected)

        def write_all(self, contents: Mapping[str, bytes]) -> None:
            self.most = max(self.most, len(contents))
            super().write_all(contents)

    store = Counting(tmp_path / "channel")
    names = [f"p{number:02}" for number in range(40)]
    site = site_of(tmp_path, *((name, "1") for name in names))
    for _ in range(2):
        publish(site, store)
        assert len(published_wheels(store)) == len(names)
        assert 0 < store.most <= 16
    assert {f"project/{name}.html" for name in names} == set(store.listing("project"))


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
    with pytest.raises(MissingToolError, match="needs a library") as caught:
        open_store("gs://bucket")
    assert "'gcsfs" in caught.value.hint
    assert "'crosswheel" not in caught.value.hint, "which a registry may have from somebody else"


@pytest.mark.parametrize(
    "url",
    [
        "memory://x",
        "ftp://host/x",
        "http://host/x",
        "nonsense://x",
        "host:/srv/x",
        "me@host:x",
        "s3:/x",
        "s3://",
        "file://x",
    ],
)
def test_what_only_looks_like_a_store_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="no such kind of store") as caught:
        open_store(url)
    assert ("sftp://me@host/x" in caught.value.hint) == (url == "me@host:x")
    assert not list(tmp_path.iterdir())


def test_a_folder_may_have_a_colon_in_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number, url in enumerate(("./a:b", f"{tmp_path}/c:d", f"file://{tmp_path}/e")):
        open_store(url).write("x", b"")
        assert len(list(tmp_path.iterdir())) == number + 1


def test_a_folder_whose_file_system_has_no_hard_links_is_published_to(
    tmp_path: Path, store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, other = (site_of(tmp_path / body, ("a", "1"), body=body.encode()) for body in ("one", "two"))

    def refuse(source: object, target: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")  # as vfat does

    monkeypatch.setattr(os, "link", refuse)
    publish(site, store)
    with pytest.raises(IntegrityError, match="was published"):
        publish(other, store)
    assert not store.create("simple/a/a-1-py3-none-any.whl", b"other")
    assert published_wheels(store) == {"a-1-py3-none-any.whl"}
    assert not list((tmp_path / "channel").rglob(".*"))


def test_a_channel_in_a_folder_may_be_read_by_every_user_whatever_the_umask(
    tmp_path: Path, store: FolderStore
) -> None:
    site = site_of(tmp_path, ("a", "1"))
    before = os.umask(0o077)
    try:
        publish(site, store)
    finally:
        os.umask(before)
    for path in (tmp_path / "channel", *(tmp_path / "channel").rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644), path


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
    assert prune(store, before, keep=["kept"], dry_run=True).removed == ["old"]
    assert published_wheels(FolderStore(tmp_path / "channel/old"))
    assert prune(store, before, keep=["kept"]).removed == ["old"]
    assert [path.name for path in (tmp_path / "channel/old").iterdir()] == ["part"]
    for branch in ("old/part", "kept", "new"):
        assert published_wheels(FolderStore(tmp_path / "channel" / branch))


def shown(store: FolderStore, root: str = "") -> dict[str, str]:
    """Return the wheels that pages name, with the bytes of their module: each link leads to what it promises."""
    page = json.loads(store.read(f"{root}simple/a/index.json") or b"{}")
    found = {}
    for file in page["files"]:
        path = os.path.normpath(f"{root}simple/a/{file['url']}")
        data = store.read(path) or b""
        assert hashlib.sha256(data).hexdigest() == file["hashes"]["sha256"]
        found[file["filename"]] = zipfile.ZipFile(io.BytesIO(data)).read("a.py").decode()
    return found


def versions_of(folder: Path, body: bytes, *targets: str) -> Path:
    wheel = add_wheel(folder / "dist", "a", "1", body=body)
    for target in targets:
        prove(wheel, target)
    write_site(folder / "dist", folder / "index")
    return folder / "index"


def test_in_a_replaceable_channel_the_last_that_was_published_counts_and_nothing_is_lost(
    tmp_path: Path, store: FolderStore
) -> None:
    name = "a-1-py3-none-any.whl"
    one, two, three = (versions_of(tmp_path / body.decode(), body, "ot2") for body in (b"1", b"2", b"3"))
    publish(one, store, channel="branch", replaceable=True)
    before = {path: data for path, data in tree(tmp_path / "channel").items() if ".whl" in path}
    assert publish(two, store, dry_run=True).replaced == (name,)
    for site, body in ((two, "2"), (three, "3"), (one, "1"), (two, "2")):
        done = publish(site, store)  # it stays as it was declared
        assert (done.replaced, done.new, done.kept) == ((name,), (), 0)
        assert shown(store) == shown(store, "ot2/") == {name: body}
        done = publish(site, store)
        assert (done.replaced, done.kept, done.pages) == ((), 1, ())
    after = tree(tmp_path / "channel")
    assert {path: after[path] for path in before if not path.endswith(".entry.json")} == {
        path: data for path, data in before.items() if not path.endswith(".entry.json")
    }
    publish(one, store, replaceable=False)
    with pytest.raises(IntegrityError, match="was published"):
        publish(versions_of(tmp_path / "4", b"4", "ot2"), store)


def test_what_is_replaced_for_one_target_stays_for_the_others(tmp_path: Path, store: FolderStore) -> None:
    name = "a-1-py3-none-any.whl"
    publish(versions_of(tmp_path / "1", b"1", "ot2", "flex"), store, replaceable=True)
    publish(versions_of(tmp_path / "2", b"2", "ot2"), store)
    assert (shown(store, "ot2/"), shown(store, "flex/")) == ({name: "2"}, {name: "1"})
    assert shown(store) == {}  # which of the two a robot got would be chance
    publish(versions_of(tmp_path / "3", b"3"), store)
    assert shown(store) == {name: "3"}


def test_a_channel_is_declared_replaceable_on_the_command_line(tmp_path: Path) -> None:
    sites = [versions_of(tmp_path / body.decode(), body, "ot2") for body in (b"1", b"2")]
    for site, words in zip(sites, (["--replaceable"], [])):
        told = ["publish", "--index-tree-root", str(site), "--to", str(tmp_path / "channel"), *words]
        done = CliRunner().invoke(app, told)
        assert done.exit_code == 0, done.output
    assert "0 new wheels, 1 that replace others, 0 that were there" in done.output
    assert shown(FolderStore(tmp_path / "channel")) == {"a-1-py3-none-any.whl": "2"}


@pytest.mark.parametrize("channel", ["staging", "production"])
def test_what_robots_count_on_is_never_replaceable(tmp_path: Path, store: FolderStore, channel: str) -> None:
    site = site_of(tmp_path, ("a", "1"))
    with pytest.raises(UsageError, match=f"the channel {channel} is never replaceable"):
        publish(site, store, channel=channel, replaceable=True)
    publish(site, store, channel=channel)
    with pytest.raises(UsageError, match="never replaceable"):  # also where it is named by its address
        publish(site, store, replaceable=True)


def test_bytes_that_a_publisher_left_who_died_are_in_nobodys_way_in_a_replaceable_channel(
    tmp_path: Path, store: FolderStore
) -> None:
    store.create("simple/a/a-1-py3-none-any.whl", b"half")
    with pytest.raises(UsageError):
        publish(site_of(tmp_path / "x", ("a", "1")), store)
    store.create(LAST_PUBLICATION, Publication(published=FUTURE, replaceable=True).model_dump_json().encode())
    publish(versions_of(tmp_path / "1", b"1", "ot2"), store)
    assert shown(store) == {"a-1-py3-none-any.whl": "1"}
