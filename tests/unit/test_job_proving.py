"""A proof is of one wheel's bytes, with what it was tested with; it is given anew as soon as one of these differs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from crosswheel.check.modules import compile_modules
from crosswheel.emulation.sites import bytecode_folder
from crosswheel.errors import CheckFailed
from crosswheel.files import sha256_of
from crosswheel.job import proving
from crosswheel.job.proving import Candidate, inputs_of, prove
from crosswheel.job.record import WheelRecord
from crosswheel.job.requirement_graph import Requirements
from crosswheel.job.reuse import proof_of
from crosswheel.lock import Pin
from crosswheel.plan import Step
from crosswheel.recipes.model import Recipe
from crosswheel.wheels.proof import Proof
from crosswheel.wheels.reading import WheelFile, WheelModules
from support.contexts import OfflineJob, offline_job
from support.wheels import make_wheel


@pytest.fixture
def job(tmp_path: Path) -> Iterator[OfflineJob]:
    with offline_job(tmp_path) as job:
        yield job


def record_of(job: OfflineJob, name: str, *requires: str, data: bytes = b"") -> WheelRecord:
    wheel = make_wheel(job.folder / "made", name, "1.0", {f"{name}/__init__.py": data}, requires=requires)
    return WheelRecord(
        name=name,
        version="1.0",
        wheel=wheel,
        sha256=sha256_of(wheel),
        size=wheel.stat().st_size,
        origin="taken",
        reason="pure Python",
        source="a test",
        requires=requires,
        modules=WheelModules((), (name,)),
    )


def step_of(name: str, recipe: Recipe | None = None) -> Step:
    return Step(Pin(name, "1.0", frozenset()), "take", None, (), recipe, "pure Python")


def proven(job: OfflineJob, *records: WheelRecord, recipe: Recipe | None = None) -> Proof:
    graph = Requirements({record.name: "1.0" for record in records}, job.context.target)
    by_name = {record.name: record for record in records}
    return prove(step_of(records[0].name, recipe), by_name, graph, job.context)


def test_where_nothing_of_the_target_runs_the_proof_says_so_and_is_none_of_running(job: OfflineJob) -> None:
    record = record_of(job, "tea")
    proof = proven(job, record)
    assert (proof.emulator, proof.imported, proof.tests) == (None, (), ())
    assert set(proof.skipped) == {"tea"}
    assert "can be had here" in (proof.not_run or "")
    placed = job.context.trees.dist / "tea/1.0" / record.wheel.name
    assert sha256_of(placed) == record.sha256
    assert Proof.read_beside(placed, job.context.target.name) == proof


def test_a_wheel_of_other_bytes_takes_no_proof_of_the_one_before(job: OfflineJob) -> None:
    first = record_of(job, "tea")
    proven(job, first)
    other = record_of(job, "tea", data=b"x = 1\n")
    assert proven(job, other).sha256 == other.sha256 != first.sha256
    placed = job.context.trees.dist / "tea/1.0" / other.wheel.name
    assert sha256_of(placed) == other.sha256


@pytest.mark.parametrize(
    "change",
    [{"sha256": "0" * 64}, {"wheel": "tea-2.0-py3-none-any.whl"}, {"target": "flex"}],
    ids=["other bytes", "another wheel", "another target"],
)
def test_a_kept_proof_counts_only_for_its_wheel_and_target(job: OfflineJob, change: dict[str, str]) -> None:
    record, kept = record_of(job, "tea"), job.folder / "proof.json"
    proof = proven(job, record)
    job.context.seals.write(kept, kept.stem, proof.model_dump_json())
    assert proof_of(job.context.seals.read(kept, kept.stem), record, job.context.target) == proof
    job.context.seals.write(kept, kept.stem, proof.model_copy(update=change).model_dump_json())
    assert proof_of(job.context.seals.read(kept, kept.stem), record, job.context.target) is None


def test_a_kept_proof_that_was_changed_by_a_byte_counts_for_nothing(job: OfflineJob) -> None:
    record, kept = record_of(job, "tea"), job.folder / "proof.json"
    job.context.seals.write(kept, kept.stem, proven(job, record).model_dump_json())
    kept.write_bytes(kept.read_bytes().replace(b"pure Python", b"pure python"))
    assert proof_of(job.context.seals.read(kept, kept.stem), record, job.context.target) is None


def recipe(job: OfflineJob, **says: object) -> Recipe:
    file = job.folder / "packages/tea/build.py"
    file.parent.mkdir(parents=True, exist_ok=True)
    return Recipe.model_validate({"name": "tea", "file": file, **says})


def test_what_a_wheel_is_tested_with_names_its_proof(job: OfflineJob) -> None:
    tea, milk, other_milk = record_of(job, "tea"), record_of(job, "milk"), record_of(job, "milk", data=b"x=1")
    (job.folder / "packages/tea").mkdir(parents=True)
    (job.folder / "packages/tea/t.py").write_text("import tea\n")

    def inputs(needed: list[WheelRecord], **says: object) -> dict[str, object]:
        step = step_of("tea", recipe(job, **says) if says else None)
        return dict(inputs_of(Candidate(step, tea, needed, incomplete=False), job.context))

    first = inputs([milk])
    assert first == inputs([milk])
    assert first != inputs([other_milk])
    assert first != inputs([])
    assert first != inputs([milk], skip_imports={"tea.gui": "it needs a screen"})
    tested = inputs([milk], tests=("t.py",))
    (job.folder / "packages/tea/t.py").write_text("import tea.pot\n")
    assert tested != inputs([milk], tests=("t.py",))


def test_a_wheel_is_tested_with_itself_and_what_its_recipe_names(job: OfflineJob) -> None:
    assert proving.tested_with(step_of("tea")) == ["tea"]
    assert proving.tested_with(step_of("tea", recipe(job, test_requires=("Oat.Milk",)))) == [
        "tea",
        "oat-milk",
    ]


def test_what_a_wheel_requires_and_no_recipe_brings_is_told_beside_its_proof(job: OfflineJob) -> None:
    proven(job, record_of(job, "tea", "sugar"))
    assert (
        "1 of its modules were not imported, because it requires what its recipe does not bring (sugar)"
        in (job.printed.getvalue())
    )


def test_a_module_that_does_not_compile_for_the_target_is_refused_before_anything_is_run(
    job: OfflineJob,
) -> None:
    record = record_of(job, "tea")
    broken = replace(record.compiled, unfit={"tea.bad": "invalid syntax"})
    with pytest.raises(CheckFailed, match=r"tea\.bad"):
        proven(job, record.model_copy(update={"compiled": broken}))
    assert not (job.context.trees.dist / "tea").exists()


def test_a_trial_has_the_bytecode_that_the_audit_left_and_that_of_uv_where_it_left_none(
    job: OfflineJob,
) -> None:
    files = {"tea/__init__.py": b"", "tea/pot.py": b"", "tea/tests/__init__.py": b""}
    wheels = [
        make_wheel(job.folder / name, "tea", "1.0", {**files, name: b""}) for name in ("a.txt", "b.txt")
    ]
    compile_modules(WheelFile.open(wheels[0]), job.context.target, job.context.pythons)
    cache, short = job.context.settings.cache, job.context.target.python.short
    left = bytecode_folder(cache, sha256_of(wheels[0]), short)
    audited, unaudited = (proving.installed_site(wheel, sha256_of(wheel), job.context) for wheel in wheels)
    compiled = {path.relative_to(audited) for path in audited.rglob("*.pyc")}
    assert compiled == {path.relative_to(left) for path in left.rglob("*.pyc")}
    assert len(compiled) == 2
    assert all((audited / path).samefile(left / path) for path in compiled)
    assert len(list(unaudited.rglob("*.pyc"))) == 3
    done = subprocess.run(
        [sys.executable, "-v", "-B", "-c", "import tea.pot"],
        env={"PYTHONPATH": str(audited)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"matches {audited}/tea/pot.py" in done.stderr
