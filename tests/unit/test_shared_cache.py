"""A cache that a team shares: what is taken is what somebody trusted made, and no store can fail or hold up a build."""

from __future__ import annotations

import datetime
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from typer.testing import CliRunner

from crosswheel.cli import app
from crosswheel.errors import StorageError, UsageError
from crosswheel.settings import Settings
from crosswheel.shared_cache.cache import SharedCache
from crosswheel.shared_cache.configured import open_cache_store, shared_cache_of
from crosswheel.shared_cache.guarded import GuardedStore
from crosswheel.shared_cache.records import CacheRecord, record_path
from crosswheel.shared_cache.upkeep import prune, read_contents, verify
from crosswheel.signing.keys import KeyFolder, PublicKey, SigningKey
from crosswheel.stores.folder import FolderStore
from crosswheel.stores.store import Content, Store
from support.static_server import serving

KEY, OTHER_KEY = SigningKey.new(), SigningKey.new()
DIGEST = "ab" * 32


class Bench:
    """A folder as the store, and what a builder was told."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store = folder, FolderStore(folder / "store")
        self.warnings: list[str] = []

    def cache(
        self,
        key: SigningKey | None = KEY,
        trusted: tuple[SigningKey, ...] = (KEY,),
        store: Store | None = None,
    ) -> SharedCache:
        """Return what a builder has: its key, and whom it trusts."""
        used = store or self.store
        guarded = GuardedStore(used.url, lambda: used, self.warnings.append, 5)
        return SharedCache([guarded], [one.public for one in trusted], key, self.warnings.append)

    def put(self, data: bytes = b"wheel", digest: str = DIGEST, cache: SharedCache | None = None) -> None:
        file = self.folder / "demo-1.0-py3-none-any.whl"
        file.write_bytes(data)
        (cache or self.cache()).put("wheel", digest, {"name": "demo"}, {"wheel": file})

    def got(self, cache: SharedCache | None = None, digest: str = DIGEST) -> bytes | None:
        """Return the bytes of the wheel that a builder gets."""
        record = (cache or self.cache()).get("wheel", digest, self.folder / "got")
        return (self.folder / "got" / record.blobs["wheel"].name).read_bytes() if record else None

    def files(self, part: str) -> list[Path]:
        return sorted(path for path in (self.folder / "store" / part).rglob("*") if path.is_file())


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_what_one_stores_the_other_takes(bench: Bench) -> None:
    assert bench.got() is None
    bench.put()
    record = bench.cache(None).get("wheel", DIGEST, bench.folder / "got")
    assert record is not None
    assert (dict(record.facts), record.blobs["wheel"].size) == ({"name": "demo"}, 5)
    assert bench.got() == b"wheel"
    assert bench.warnings == []


def test_who_may_only_read_stores_nothing(bench: Bench) -> None:
    bench.put(cache=bench.cache(None))
    assert not bench.files("")


def test_a_stranger_is_not_believed_nor_in_the_way(bench: Bench) -> None:
    bench.put(b"poisoned", cache=bench.cache(OTHER_KEY, (OTHER_KEY,)))
    assert bench.got() is None
    # Also where it lies under a trusted key's name.
    forged = bench.files("records")[0].read_bytes()
    bench.store.write(record_path("wheel", DIGEST, KEY.public), forged)
    assert bench.got() is None
    assert "is not signed by a key that is trusted here" in bench.warnings[0]
    cache = bench.cache()
    assert bench.got(cache) is None
    bench.put(cache=cache)
    assert bench.got() == b"wheel"


def test_a_record_that_was_moved_to_another_digest_is_not_believed(bench: Bench) -> None:
    bench.put()
    (record,) = bench.files("records")
    bench.store.write(record_path("wheel", "cd" * 32, KEY.public), record.read_bytes())
    assert bench.got(digest="cd" * 32) is None
    assert "is the record of something else" in bench.warnings[0]


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: b"other", lambda data: b""])
def test_a_blob_that_was_changed_or_cut_is_passed_over_and_stored_anew(
    bench: Bench, change: Callable[[bytes], bytes]
) -> None:
    bench.put()
    (blob,) = bench.files("blobs")
    blob.write_bytes(change(blob.read_bytes()))
    assert bench.got() is None
    assert "is not what its name says" in bench.warnings[0]
    bench.put()
    assert bench.got() == b"wheel"


def test_a_blob_that_is_gone_is_stored_anew(bench: Bench) -> None:
    bench.put()
    bench.files("blobs")[0].unlink()
    assert bench.got() is None
    bench.put()
    assert bench.got() == b"wheel"


def test_a_record_of_a_newer_version_is_passed_over(bench: Bench) -> None:
    now = datetime.datetime.now(datetime.timezone.utc)
    record = CacheRecord(kind="wheel", digest=DIGEST, written=now).model_copy(update={"schema_version": 2})
    bench.store.write(record_path("wheel", DIGEST, KEY.public), record.signed(KEY))
    assert bench.got() is None
    assert "no record of a shared cache" in bench.warnings[0]


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", ".hidden", "a/b", ""])
def test_a_blob_cannot_be_called_as_a_file_elsewhere(bench: Bench, name: str) -> None:
    bench.put()
    (path,) = bench.files("records")
    # What a trusted key signs is not trusted with the files of this machine.
    record = CacheRecord.model_validate(json.loads(_payload(path.read_bytes())))
    blobs = {"wheel": record.blobs["wheel"].model_copy(update={"name": name})}
    path.write_bytes(record.model_copy(update={"blobs": blobs}).signed(KEY))
    assert bench.got() is None
    assert not list(bench.folder.rglob("*evil*"))


def _payload(envelope: bytes) -> bytes:
    import base64

    return base64.b64decode(json.loads(envelope)["payload"])


def test_two_builders_with_other_bytes_are_told_and_the_first_stays(bench: Bench) -> None:
    both = (KEY, OTHER_KEY)
    bench.put(b"one", cache=bench.cache(KEY, both))
    bench.put(b"two", cache=bench.cache(KEY, both))
    bench.put(b"three", cache=bench.cache(OTHER_KEY, both))
    assert bench.got() == b"one"
    assert [warning.partition(":")[0] for warning in bench.warnings] == [
        "demo-1.0-py3-none-any.whl is not reproducible"
    ] * 2
    contents = read_contents(bench.store, [key.public for key in both])
    assert len(contents.differing) == 2
    bench.warnings.clear()
    bench.put(b"one")
    assert bench.warnings == []


def test_many_writers_at_once_leave_one_record_and_whole_blobs(bench: Bench) -> None:
    caches = [bench.cache() for _ in range(8)]
    files = []
    for number in range(8):
        file = bench.folder / str(number) / "demo.whl"
        file.parent.mkdir()
        file.write_bytes(b"wheel" * 10_000)
        files.append(file)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda cache, file: cache.put("wheel", DIGEST, {}, {"wheel": file}), caches, files))
    assert bench.got() == b"wheel" * 10_000
    assert (len(bench.files("records")), len(bench.files("blobs")), bench.warnings) == (1, 1, [])


class Failing(FolderStore):
    """A store that fails at some of what is asked, in one of several ways."""

    def __init__(self, root: Path, fault: Callable[[], object], *, reads: bool) -> None:
        super().__init__(root)
        self._fault, self._reads, self.calls = fault, reads, 0

    def read(self, path: str) -> bytes | None:
        if self._reads:
            self.calls += 1
            self._fault()
        return super().read(path)

    def create(self, path: str, content: Content) -> bool:
        self.calls += 1
        self._fault()
        return super().create(path, content)


def _away() -> None:
    raise StorageError("the network is unreachable", hint="wait.")


def _broken() -> None:
    raise RuntimeError("a library's own mistake")


@pytest.mark.parametrize("fault", [_away, _broken])
def test_a_store_that_is_away_is_told_of_once_and_not_asked_any_more(
    bench: Bench, fault: Callable[[], object]
) -> None:
    store = Failing(bench.folder / "store", fault, reads=True)
    cache = bench.cache(store=store)
    for digest in ("ab" * 32, "cd" * 32):
        assert bench.got(cache, digest) is None
        bench.put(digest=digest, cache=cache)
    assert (store.calls, len(bench.warnings)) == (2, 2)  # once for reading, once for writing


def test_a_store_that_is_full_is_still_read(bench: Bench) -> None:
    bench.put()

    def full() -> None:
        raise StorageError("no space left", hint="prune it.")

    cache = bench.cache(store=Failing(bench.folder / "store", full, reads=False))
    bench.put(digest="cd" * 32, cache=cache)
    bench.put(digest="ef" * 32, cache=cache)
    assert bench.got(cache) == b"wheel"
    assert [warning for warning in bench.warnings if "no space left" in warning] == bench.warnings
    assert len(bench.warnings) == 1


def test_a_store_that_does_not_answer_is_not_waited_for(bench: Bench) -> None:
    never = threading.Event()
    store = Failing(bench.folder / "store", never.wait, reads=True)
    guarded = GuardedStore("slow", lambda: store, bench.warnings.append, 0.01)
    assert guarded.read("records") is None
    assert guarded.read("records") is None
    assert guarded.create("records", b"") is None
    never.set()
    assert (store.calls, len(bench.warnings)) == (1, 1)
    assert "did not answer" in bench.warnings[0]


def test_a_store_that_cannot_be_opened_is_told_of(bench: Bench) -> None:
    def connect() -> Store:
        raise StorageError("no such bucket", hint="look.")

    guarded = GuardedStore("s3://none", connect, bench.warnings.append, 5)
    assert guarded.read("records") is None
    assert "the shared cache s3://none could not be read" in bench.warnings[0]


def test_a_web_server_serves_what_another_store_has_and_is_never_written_to(bench: Bench) -> None:
    bench.put()
    with serving(bench.folder / "store") as server:
        cache = bench.cache(store=open_cache_store(server.url))
        assert bench.got(cache) == b"wheel"
        assert bench.got(cache, "cd" * 32) is None
        bench.put(digest="cd" * 32, cache=cache)
        assert ["is a web server" in warning for warning in bench.warnings] == [True]
    with pytest.raises(StorageError, match="cannot be listed"):
        read_contents(open_cache_store("https://none.example"), [])


def test_without_a_key_that_is_trusted_no_shared_cache_is_used(tmp_path: Path) -> None:
    settings = Settings(tmp_path, "", shared_caches=("store",), keys=tmp_path / "keys")
    with pytest.raises(UsageError, match="no key is trusted here"):
        shared_cache_of(settings, print)
    KeyFolder.of(tmp_path / "keys", {}).create()
    cache = shared_cache_of(settings, print)
    assert cache is not None
    assert cache.key is not None


def put_many(bench: Bench, sizes: dict[str, int], first: datetime.datetime) -> None:
    """Store wheels of some sizes, each a day after the one before."""
    for number, (name, size) in enumerate(sizes.items()):
        digest = name * 32
        bench.put(name.encode() * (size // 2), digest)
        path = bench.folder / "store" / record_path("wheel", digest, KEY.public)
        record = CacheRecord.model_validate(json.loads(_payload(path.read_bytes())))
        written = first + datetime.timedelta(days=number)
        path.write_bytes(record.model_copy(update={"written": written}).signed(KEY))


def kept(bench: Bench) -> set[str]:
    records = read_contents(bench.store, [KEY.public]).records.values()
    return {record.digest[:2] for record in records}


@pytest.mark.parametrize("hours", [-25, 25])
def test_what_a_machine_stored_whose_clock_is_a_day_off_is_taken(bench: Bench, hours: int) -> None:
    then = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=hours)
    put_many(bench, {"ab": 4}, then)
    assert bench.got(digest="ab" * 32) == b"abab"
    assert (verify(bench.store, [KEY.public]), bench.warnings) == ({}, [])


def test_the_oldest_go_first_and_no_blob_that_is_needed(bench: Bench) -> None:
    first = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    put_many(bench, {"aa": 1000, "bb": 2000, "cc": 3000}, first)
    bench.put(b"aa" * 500, "dd" * 32)  # the same bytes as the first
    trusted = [KEY.public]
    before = first + datetime.timedelta(hours=1)
    assert prune(bench.store, trusted, written_before=before, dry_run=True).records == 1
    assert kept(bench) == {"aa", "bb", "cc", "dd"}
    removed = prune(bench.store, trusted, written_before=before)
    assert (removed.records, removed.blobs, kept(bench)) == (1, 0, {"bb", "cc", "dd"})
    removed = prune(bench.store, trusted, max_size=4000)
    assert (removed.records, removed.size, kept(bench)) == (1, 2000, {"cc", "dd"})
    assert len(bench.files("blobs")) == 2
    assert verify(bench.store, trusted) == {}


def test_a_cache_that_strangers_use_as_well_is_not_pruned(bench: Bench) -> None:
    bench.put(cache=bench.cache(OTHER_KEY, (OTHER_KEY,)))
    with pytest.raises(UsageError, match="not known which blobs they need"):
        prune(bench.store, [KEY.public], max_size=0)


@pytest.fixture
def line(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """Run ``crosswheel cache`` with the key that signed."""
    keys = bench.folder / "keys"
    monkeypatch.setenv("CROSSWHEEL_KEYS", str(keys))
    monkeypatch.setenv("CROSSWHEEL_SIGNING_KEY", KEY.pem.decode())
    monkeypatch.setenv("CROSSWHEEL_SHARED_CACHE", str(bench.folder / "store"))

    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["cache", *words])
        assert done.exception is None or isinstance(done.exception, SystemExit | UsageError), done.exception
        return done.exit_code, " ".join(done.output.split()) or str(done.exception)

    return run


def test_the_commands_show_verify_and_make_room(bench: Bench, line: Callable[..., tuple[int, str]]) -> None:
    bench.put()
    bench.put(b"other")
    code, output = line("show")
    assert code == 0
    assert "wheel 1" in output
    assert "not reproducible: demo-1.0-py3-none-any.whl" in output
    assert line("verify") == (0, f"{bench.folder}/store: all files are undamaged.")
    blob = next(path for path in bench.files("blobs") if path.read_bytes() == b"wheel")
    blob.write_bytes(b"wheal")
    bench.files("records")[0].write_bytes(b"{}")
    code, output = line("verify", "--remove")
    assert code == 1
    assert "2 files are damaged and removed" in output
    assert line("verify")[0] == 0
    code, output = line("prune", "--keep", "30d", "--max-size", "0")
    assert code == 0, output
    assert not bench.files("blobs")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["prune"], "no limit is given, so there is nothing to remove"),
        (["prune", "--keep", "x"], "--keep x: that is no amount"),
        (["prune", "--max-size", "5Q"], "--max-size 5Q: that is no amount"),
    ],
)
def test_what_cannot_be_asked_is_explained(
    line: Callable[..., tuple[int, str]], words: list[str], message: str
) -> None:
    assert message in line(*words)[1]


def test_a_public_key_reads_what_the_private_one_signed(bench: Bench) -> None:
    bench.put()
    reader = SharedCache(
        bench.cache().stores, [PublicKey(KEY.public.hexadecimal)], None, bench.warnings.append
    )
    assert bench.got(reader) == b"wheel"
