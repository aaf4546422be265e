"""A wheel is taken once and audited before it is used; what a build left in the cache is kept to the byte."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from crosswheel.build.requirements import own_store
from crosswheel.errors import CheckFailed, IntegrityError
from crosswheel.files import sha256_of
from crosswheel.job.making import _keep, make, settled
from crosswheel.job.record import WheelRecord
from crosswheel.lock import Pin
from crosswheel.plan import Step
from crosswheel.registry import ReleaseFile
from support.contexts import OfflineJob, offline_job
from support.wheels import make_wheel

# What may not be parsed by any Python that there is, and one that compiles.
BROKEN, SOUND = b"x = (\n", b"x = 1\n"


@pytest.fixture
def job(tmp_path: Path) -> Iterator[OfflineJob]:
    with offline_job(tmp_path) as job:
        yield job


def take(job: OfflineJob, wheel: Path, *, fallback: Step | None = None) -> Step:
    """Return the step that takes a wheel which the registry offers."""
    name, version = wheel.name.split("-")[:2]
    files = job.context.registry.release_files(canonicalize_name(name), version, refresh=True)
    (file,) = (file for file in files if file.filename == wheel.name)
    pin = Pin(canonicalize_name(name), version, frozenset({file.sha256}))
    return Step(pin, "take", file, (), None, "pure Python", fallback)


def made(job: OfflineJob, step: Step) -> WheelRecord:
    context, day = job.context, datetime.date(2025, 4, 25)
    return make(step, own_store(context.trees.build, str(step.pin), context.target, None, day), context)


def unserved(job: OfflineJob, wheel: Path) -> None:
    """Have the registry offer a wheel no more."""
    (job.registry.server.folder / "simple" / wheel.name.split("-")[0] / wheel.name).unlink()


def test_a_wheel_is_taken_once_and_then_kept(job: OfflineJob) -> None:
    wheel = job.offer("tea", "1.0", requires=["milk>=1; extra == 'white'"])
    step = take(job, wheel)
    first = made(job, step)
    assert (first.origin, first.is_kept, first.sha256) == ("taken", False, sha256_of(wheel))
    assert (first.requires, first.modules.pure) == (('milk>=1; extra == "white"',), ("tea",))
    unserved(job, wheel)
    assert made(job, step) == first.model_copy(update={"is_kept": True})


def test_the_reason_is_that_of_the_step_and_not_of_the_one_that_took_it(job: OfflineJob) -> None:
    step = take(job, job.offer("tea", "1.0"))
    made(job, step)
    assert made(job, replace(step, reason="its recipe says so")).reason == "its recipe says so"


def test_a_wheel_that_was_changed_in_the_cache_is_taken_anew_and_told(job: OfflineJob) -> None:
    wheel = job.offer("tea", "1.0")
    first = made(job, take(job, wheel))
    first.wheel.write_bytes(b"something else")
    again = made(job, take(job, wheel))
    assert not again.is_kept
    assert sha256_of(again.wheel) == sha256_of(wheel)
    assert "was changed or damaged, or another user made it; it is made anew" in job.printed.getvalue()


def test_a_refused_wheel_is_never_kept(job: OfflineJob) -> None:
    step = take(job, job.offer("tea", "1.0", requires_python="<3"))
    for _ in range(2):
        with pytest.raises(CheckFailed, match=r"tea-1\.0-py3-none-any\.whl was refused") as refused:
            made(job, step)
        assert refused.value.hint.endswith(".")
    assert list((job.context.settings.cache / "made").glob("*")) == []


def test_where_the_published_wheel_is_refused_its_fallback_is_what_will_run(job: OfflineJob) -> None:
    wheel = job.offer("tea", "1.0", requires_python="<3")
    build = Step(take(job, wheel).pin, "build", None, (), None, "its published wheel was refused")
    assert settled(take(job, wheel, fallback=build), job.context) is build
    assert "tea==1.0 is built from its source, as" in job.printed.getvalue()
    good = take(job, job.offer("milk", "1.0"), fallback=build)
    assert settled(good, job.context) is good


def test_a_module_that_no_python_can_compile_is_in_the_record_and_not_passed_over(job: OfflineJob) -> None:
    wheel = job.offer("tea", "1.0", {"tea/__init__.py": SOUND, "tea/bad.py": BROKEN})
    record = made(job, take(job, wheel))
    assert list(record.compiled.unfit) == ["tea.bad"]


@pytest.mark.parametrize("other", [b"", b"the same name, other bytes"])
def test_of_two_commands_that_build_one_wheel_both_go_on_with_the_first(
    job: OfflineJob, other: bytes
) -> None:
    kept = job.folder / "cache/made/one"
    records = []
    for number, extra in enumerate([b"", other]):
        wheel = make_wheel(job.folder / str(number), "tea", "1.0", {"tea/__init__.py": extra})
        log = job.context.log("tea", "1.0")
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(f"build {number}\n")
        record = WheelRecord(
            name="tea",
            version="1.0",
            wheel=kept / wheel.name,
            sha256=sha256_of(wheel),
            size=wheel.stat().st_size,
            origin="built",
            reason="",
            source="",
        )
        records.append(_keep(record, wheel, kept, job.context))
    assert records[0] == records[1]
    assert sha256_of(kept / "tea-1.0-py3-none-any.whl") == records[1].sha256
    assert (kept / "build.log").read_text() == "build 0\n"


def test_what_lies_damaged_in_the_cache_is_replaced_by_what_was_built(job: OfflineJob) -> None:
    kept = job.folder / "cache/made/one"
    kept.mkdir(parents=True)
    (kept / "made.json").write_text("cut of")
    wheel = make_wheel(job.folder / "built", "tea", "1.0", {})
    job.context.log("tea", "1.0").parent.mkdir(parents=True)
    job.context.log("tea", "1.0").write_text("built\n")
    facts = {"origin": "built", "reason": "", "source": "", "sha256": sha256_of(wheel), "size": 1}
    record = WheelRecord.model_validate(
        {**facts, "name": "tea", "version": "1.0", "wheel": kept / wheel.name}
    )
    assert _keep(record, wheel, kept, job.context).sha256 == sha256_of(wheel)
    assert not _keep(record, wheel, kept, job.context).is_kept


def test_a_files_hash_is_what_is_taken_and_not_its_name(job: OfflineJob) -> None:
    step = take(job, job.offer("tea", "1.0"))
    assert step.file is not None
    wrong = ReleaseFile.model_validate({**step.file.model_dump(), "sha256": "0" * 64})
    with pytest.raises(IntegrityError, match="is not what was expected"):
        made(job, replace(step, file=wrong))
