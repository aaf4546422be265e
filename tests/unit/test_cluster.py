"""What machines of a cluster hand each other arrives as it was sent, or not at all; who may join is told apart."""

from __future__ import annotations

import datetime
import importlib.util
import os
import ssl
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509

from crosswheel.cluster import executor, require_dask
from crosswheel.cluster.agreement import require_same, versions_here
from crosswheel.cluster.keys import ClusterKeys, scheduler_address
from crosswheel.cluster.memory import logged_peak, needed_memory, note_memory, within
from crosswheel.cluster.orders import Answer
from crosswheel.cluster.parcels import pack_run, packed, roots_of, unpack_run, unpacked
from crosswheel.errors import HostError, IntegrityError, MissingToolError, StorageError, UsageError
from crosswheel.files import sha256_of
from crosswheel.job.context import BuildContext, PackageLimits
from crosswheel.job.handing import hand_over, hand_over_file, handed_file, handed_record, handed_wheel
from crosswheel.job.record import WheelRecord
from crosswheel.lock import Pin
from crosswheel.plan import Step
from crosswheel.process import Cancellation, Runner
from crosswheel.recipes.loader import load_folder
from crosswheel.recipes.model import Recipe
from crosswheel.shared_cache.cache import SharedCache
from crosswheel.shared_cache.guarded import GuardedStore
from crosswheel.signing.keys import SigningKey
from crosswheel.stores.folder import FolderStore
from support.contexts import OfflineJob, offline_job
from support.wheels import make_wheel

HEAD, WORKER = SigningKey.new(), SigningKey.new()


@pytest.fixture
def job(tmp_path: Path) -> Iterator[OfflineJob]:
    with offline_job(tmp_path) as job:
        yield job


def shared(job: OfflineJob, key: SigningKey, trusted: Sequence[SigningKey] = (HEAD, WORKER)) -> SharedCache:
    store = FolderStore(job.folder / "store")
    guarded = GuardedStore(store.url, lambda: store, job.context.display.warning, 5)
    return SharedCache([guarded], [one.public for one in trusted], key, job.context.display.warning)


def machine(job: OfflineJob, name: str, key: SigningKey) -> BuildContext:
    """Return a context with a cache of its own."""
    settings = replace(job.context.settings, cache=job.folder / name)
    return replace(job.context, settings=settings, shared_cache=shared(job, key))


def built(job: OfflineJob, context: BuildContext) -> WheelRecord:
    wheel = make_wheel(context.settings.cache / "made", "tea", "1.0", {"tea.py": b""})
    wheel.with_name("build.log").write_text("how it was made")
    facts = {"reason": "", "source": "its sdist", "shared_as": "ab" * 32, "requires": ("milk",)}
    return WheelRecord.model_validate(
        {
            "name": "tea",
            "version": "1.0",
            "wheel": wheel,
            "sha256": sha256_of(wheel),
            "size": 1,
            "origin": "built",
            **facts,
        }
    )


def test_a_wheel_that_a_worker_built_is_here_with_its_log(job: OfflineJob) -> None:
    worker, head = machine(job, "worker", WORKER), machine(job, "head", HEAD)
    sent = built(job, worker)
    got = handed_record(hand_over(sent, worker.shared_cache), None, head)
    assert got.wheel.is_relative_to(job.folder / "head")
    assert got.model_copy(update={"wheel": sent.wheel}) == sent
    assert head.log("tea", "1.0").read_text() == "how it was made"
    kept = WheelRecord.read(got.wheel.parent, head.seals)
    assert kept is not None
    assert kept.is_kept
    another = machine(job, "another", WORKER)
    assert handed_wheel(got, another).wheel.read_bytes() == sent.wheel.read_bytes()


def test_a_published_wheel_is_named_and_each_machine_fetches_it(job: OfflineJob) -> None:
    wheel = job.offer("tea", "1.0")
    head, worker = machine(job, "head", HEAD), machine(job, "worker", WORKER)
    record = built(job, head).model_copy(
        update={"origin": "taken", "wheel": wheel, "sha256": sha256_of(wheel), "source": "the registry's"}
    )
    hand_over(record, head.shared_cache)
    assert not (job.folder / "store" / "blobs").exists()
    assert handed_wheel(record, worker).wheel.read_bytes() == wheel.read_bytes()


def test_what_a_stranger_hands_over_is_not_taken(job: OfflineJob) -> None:
    worker, head = machine(job, "worker", SigningKey.new()), machine(job, "head", HEAD)
    digest = hand_over(built(job, worker), worker.shared_cache)
    with pytest.raises(StorageError, match="has nothing under"):
        handed_record(digest, None, head)


def test_a_wheel_that_was_replaced_on_its_way_is_refused(job: OfflineJob) -> None:
    worker, head = machine(job, "worker", WORKER), machine(job, "head", HEAD)
    record = built(job, worker)
    other = record.model_copy(update={"sha256": "cd" * 32})  # signed by a worker that is trusted, and not so
    with pytest.raises(IntegrityError, match="is not what another machine of the cluster handed over"):
        handed_record(hand_over(other, worker.shared_cache), None, head)


def test_a_machine_without_the_right_to_store_says_so(job: OfflineJob, tmp_path: Path) -> None:
    file = tmp_path / "run.tar.gz"
    file.write_bytes(b"run")
    reader = replace(shared(job, WORKER), key=None)
    with pytest.raises(StorageError, match="could not be written, through which"):
        hand_over_file(file, reader)
    digest = hand_over_file(file, shared(job, HEAD))
    assert handed_file(digest, tmp_path / "there" / "run.tar.gz", reader).read_bytes() == b"run"


def test_paths_mean_the_same_on_another_machine(tmp_path: Path) -> None:
    here, there = roots_of(tmp_path / "a", tmp_path / "b"), roots_of(tmp_path / "c", tmp_path / "d")
    paths = (tmp_path / "a/demo/build.py", tmp_path / "b/demo", Path("/usr/lib"))
    assert unpacked(packed(paths, here), there) == (
        tmp_path / "c/demo/build.py",
        tmp_path / "d/demo",
        Path("/usr/lib"),
    )


def test_a_run_arrives_with_its_recipes_locks_and_patches(job: OfflineJob, tmp_path: Path) -> None:
    folder = tmp_path / "recipes"
    (folder / "demo/1.0/ot2.build").mkdir(parents=True)
    (folder / "notes").mkdir()
    call = 'build_package(patches=["mend.patch"], memory_limit="2G")'
    (folder / "demo/1.0/build.py").write_text(f"from builder import package_build\npackage_build.{call}\n")
    for name in ("demo/1.0/mend.patch", "demo/1.0/ot2.build/demo.txt", "notes/private"):
        (folder / name).write_text(name)
    context = replace(
        job.context, recipes=load_folder(folder, tmp_path / "dist"), limits=PackageLimits(memory=10**9)
    )
    archive = pack_run(context, tmp_path / "run.tar.gz")
    run = unpack_run(archive, tmp_path / "there", tmp_path / "build")
    assert (run.target, run.limits, run.sandbox) == (context.target, context.limits, context.sandbox)
    sent, got = context.recipes.for_package("demo", "1.0"), run.recipes.for_package("demo", "1.0")
    assert sent is not None
    assert got is not None
    assert got.fingerprint == sent.fingerprint
    assert got.folder.is_relative_to(tmp_path / "there")
    assert (got.folder / "ot2.build/demo.txt").is_file()
    assert not list((tmp_path / "there").rglob("private"))


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("tls://head", "tls://head:8786"),
        ("tls://head:1234", "tls://head:1234"),
        ("tls://[2001:db8::1]", "tls://[2001:db8::1]:8786"),
        ("tcp://127.0.0.1:0", "tcp://127.0.0.1:0"),
        ("tcp://localhost", "tcp://localhost:8786"),
    ],
)
def test_the_address_of_a_scheduler(given: str, address: str) -> None:
    assert scheduler_address(given) == address


@pytest.mark.parametrize(
    "given",
    ["head", "https://head", "tls://", "tls://head:port", "tls://head/x", "tcp://head:1", "tcp://10.0.0.1"],
)
def test_what_is_no_address_of_a_scheduler_that_is_safe(given: str) -> None:
    with pytest.raises(UsageError):
        scheduler_address(given)


def test_certificates_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    keys = ClusterKeys(tmp_path / "cluster")
    keys.create()
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys.folder.iterdir()} == {0o600}
    context = ssl.create_default_context(cafile=str(keys.folder / "authority.pem"))
    context.load_cert_chain(keys.folder / "member.pem", keys.folder / "member.key")
    security = keys.security("tls://head")
    assert security is not None
    assert security.require_encryption
    with pytest.raises(UsageError, match="already"):
        keys.create()
    (keys.folder / "member.key").chmod(0o644)
    with pytest.raises(UsageError, match="can be read by others"):
        keys.security("tls://head")


def test_certificates_hold_where_the_clock_is_a_day_behind_or_ahead(tmp_path: Path) -> None:
    keys = ClusterKeys(tmp_path / "cluster")
    keys.create()
    now, day = datetime.datetime.now(datetime.timezone.utc), datetime.timedelta(days=1, hours=1)
    for name in ("authority.pem", "member.pem"):
        certificate = x509.load_pem_x509_certificate((keys.folder / name).read_bytes())
        assert certificate.not_valid_before_utc < now - day
        assert now + day < certificate.not_valid_after_utc


def test_a_machine_without_certificates_is_told_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no certificate") as refused:
        ClusterKeys(tmp_path).security("tls://head")
    assert "crosswheel keys cluster" in refused.value.hint
    assert ClusterKeys(tmp_path).security("tcp://127.0.0.1") is None


def test_whoever_has_no_dask_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    require_dask()
    monkeypatch.setattr("crosswheel.cluster.find_spec", lambda name: None)
    with pytest.raises(MissingToolError) as missing:
        require_dask()
    assert "pip install 'crosswheel[cluster]'" in missing.value.hint
    assert importlib.util.find_spec("distributed")


_SIGNALLED = """
import os, signal, sys, weakref
from pathlib import Path
from crosswheel.cluster.keys import ClusterKeys
from crosswheel.cluster.starting import WorkerPlan, serve_scheduler
from crosswheel.settings import Settings

class Used:
    pass

def tell(text):
    used = Used()
    weakref.finalize(used, os.kill, os.getpid(), signal.SIGTERM)

signal.signal(signal.SIGTERM, signal.default_int_handler)  # as crosswheel does at its start
keys = ClusterKeys(Path(sys.argv[1]))
if sys.argv[2] == "scheduler":
    serve_scheduler("tcp://127.0.0.1:0", keys, "127.0.0.1:0", tell)
else:
    WorkerPlan("tcp://127.0.0.1:1", "one", 1, 10**9, Settings.from_environment()).serve(keys, tell)
"""


@pytest.mark.parametrize("program", ["scheduler", "worker"])
def test_a_signal_that_comes_while_python_calls_a_finalizer_ends_a_program_of_the_cluster(
    tmp_path: Path, program: str
) -> None:
    environment = {**os.environ, "CROSSWHEEL_CACHE": str(tmp_path / "cache")}
    words = [sys.executable, "-c", _SIGNALLED, str(tmp_path / "keys"), program]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.stderr.splitlines()[-1] == "KeyboardInterrupt"


@pytest.mark.parametrize("part", ["crosswheel", "python", "distributed"])
def test_other_versions_are_refused_and_both_are_named(part: str) -> None:
    here = versions_here()
    require_same({"worker-1": here})
    with pytest.raises(HostError) as refused:
        require_same({"worker-1": {**here, part: "0.0"}})
    assert str(refused.value).startswith("worker-1 has ")
    assert here[part] in str(refused.value)
    assert "0.0" in str(refused.value)


def step(action: str, recipe: Recipe | None = None) -> Step:
    return Step(Pin("demo", "1.0", frozenset()), action, None, (), recipe, "")  # type: ignore[arg-type]


def test_memory_is_what_the_recipe_says_and_no_more_than_a_worker_has(job: OfflineJob) -> None:
    context = job.context
    large = Recipe(name="demo", file=Path("build.py"), memory_limit=8 * 10**9)
    assert needed_memory("make", step("build", large), context.limits, context.settings.cache) == 8 * 10**9
    ordinary = needed_memory("make", step("build"), context.limits, context.settings.cache)
    assert needed_memory("prove", step("build", large), context.limits, context.settings.cache) < ordinary
    assert needed_memory("make", step("take"), context.limits, context.settings.cache) < ordinary
    limited = replace(context, limits=PackageLimits(memory=3 * 10**9))
    assert needed_memory("make", step("build"), limited.limits, limited.settings.cache) == 3 * 10**9
    assert within(8 * 10**9, {"small": 2e9, "large": 4e9}) == 4e9
    assert within(10**9, {"small": 2e9, "large": 4e9}) == 1e9
    assert within(10**9, {}) == 1e9


class Patience(Cancellation):
    """Asks to stop only where an answer never comes: how fast a machine is decides nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.end = time.monotonic() + 60

    def raise_if_requested(self) -> None:
        if time.monotonic() > self.end:
            self.cancel()
        super().raise_if_requested()


def late() -> Answer:
    raise TimeoutError("a disk of the worker")


def test_an_answer_may_take_longer_to_fetch_than_a_look_whether_it_is_there(
    job: OfflineJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distributed import Client, LocalCluster

    monkeypatch.setattr(executor, "_POLL_SECONDS", 1e-4)
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        future = client.submit(Answer, "worker", "digest", pure=False)
        asking = executor.ClusterExecutor(client, cluster.scheduler_address)
        answer = asking._result(future, step("build"), job.context.display, Patience())
        assert answer.result == "digest"
        with pytest.raises(TimeoutError, match="a disk of the worker"):
            asking._result(client.submit(late), step("build"), job.context.display, Patience())


def test_what_a_build_took_is_asked_for_the_next_time(job: OfflineJob) -> None:
    log = job.folder / "build.log"
    runner = Runner(log=log)
    assert logged_peak(log) == 0
    runner.run([sys.executable, "-c", "b'.' * 300_000_000"])
    runner.run(["true"])
    note_memory("demo", logged_peak(log), job.context.settings.cache)
    assert (
        600_000_000
        < needed_memory("make", step("build"), job.context.limits, job.context.settings.cache)
        < 900_000_000
    )
    large = Recipe(name="demo", file=Path("build.py"), memory_limit=8 * 10**9)
    assert (
        needed_memory("make", step("build", large), job.context.limits, job.context.settings.cache)
        == 8 * 10**9
    )
