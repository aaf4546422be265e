"""Many requirements, each with a closure of its own: what fails stops no other, and what ended is not done again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from crosswheel.build.requirements import RequirementsStore, own_store
from crosswheel.errors import BuildFailed, CrosswheelError, UsageError
from crosswheel.index.batches import Journal, LineResult, read_batches
from crosswheel.index.chart import batch_chart
from crosswheel.index.site import write_site
from crosswheel.job import batch as batches
from crosswheel.job.asking import Asking
from crosswheel.job.batch import BatchLine, BatchResult, BatchRun
from crosswheel.job.batch_lines import batch_lines
from crosswheel.job.closures import Closure, closure_of_pins
from crosswheel.job.context import BuildContext, PackageLimits
from crosswheel.job.making import make
from crosswheel.job.proving import Candidate, proven_here
from crosswheel.job.record import WheelRecord
from crosswheel.lock import Pin
from crosswheel.plan import Step
from crosswheel.resolver import Request
from crosswheel.wheels.proof import Proof
from support.contexts import OfflineJob, offline_job


class Resolved(Asking):
    """Asks for releases whose pins are known, as no resolver runs here; counts how often it was asked."""

    pins: dict[str, tuple[str, ...]]
    asked: list[str]

    def closure(self, context: BuildContext) -> tuple[Closure, BuildContext]:
        """Return the steps for the pins, or fail as a resolver does."""
        (text,) = self.request.requirements
        self.asked.append(text)
        pins = []
        for name in self.pins[text]:
            files = context.registry.release_files(name, "1.0")
            pins.append(Pin(name, "1.0", frozenset(file.sha256 for file in files)))
        store = own_store(context.trees.build, text, context.target, None)
        return closure_of_pins((text,), pins, store, context), context


@contextmanager
def job_of(
    folder: Path, closures: dict[str, tuple[str, ...]]
) -> Iterator[tuple[OfflineJob, list[BatchLine]]]:
    """Give a job whose registry has what the closures hold, and a line for each closure."""
    asked: list[str] = []
    kind = type("Known", (Resolved,), {"pins": closures, "asked": asked})
    with offline_job(folder) as job:
        yield job, [BatchLine(text, kind(Request((text,)))) for text in closures]


def outcomes(result: BatchResult) -> dict[str, str]:
    return {row.package: row.outcome for row in result.rows}


def asked(lines: list[BatchLine]) -> list[str]:
    """Return what was resolved since the last call, each once."""
    told = lines[0].asking.asked  # type: ignore[attr-defined]
    texts = sorted(set(told))
    told.clear()
    return texts


def test_a_line_that_fails_stops_no_other_and_each_counts(tmp_path: Path) -> None:
    closures = {"good": ("good",), "absent": ("absent",), "needs-bad": ("bad", "needs-bad"), "bad": ("bad",)}
    with job_of(tmp_path, closures) as (job, lines):
        job.offer("good", "1.0")
        job.offer("bad", "1.0", {"bad/__init__.py": b"def broken(:\n"})
        job.offer("needs-bad", "1.0", requires=["bad"])
        result = BatchRun(job.context).run(lines)
        assert outcomes(result) == {
            "good": "taken",
            "absent": "failed",
            "needs-bad": "failed",
            "bad": "failed",
        }
        assert result.exit_code == 2
        assert result.kinds == {
            "neither a wheel that loads nor a source": ["absent"],
            "the wheel would not work on the target": ["needs-bad", "bad"],
        }
        (told,) = [row.error for row in result.rows if row.package == "needs-bad"]
        assert told is not None
        assert told.startswith("bad 1.0: ")


def test_what_others_need_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    closures = {"top": ("base", "middle", "top"), "middle": ("base", "middle"), "base": ("base",)}
    with job_of(tmp_path, closures) as (job, lines):
        job.offer("base", "1.0")
        job.offer("middle", "1.0", requires=["base"])
        job.offer("top", "1.0", requires=["middle"])
        BatchRun(job.context).run(lines)
        text = Journal.of(job.context.trees.dist, "ot2").path.read_text().splitlines()
        assert [LineResult.model_validate_json(line).line for line in text[1:]] == ["base", "middle", "top"]


def test_a_line_that_takes_long_to_resolve_holds_up_no_other(tmp_path: Path) -> None:
    ended = threading.Event()

    class Slow(Asking):
        """Is not resolved before another line has ended."""

        def closure(self, context: BuildContext) -> tuple[Closure, BuildContext]:
            assert ended.wait(20)
            raise UsageError("nobody has it", hint="look.")

    with job_of(tmp_path, {"good": ("good",)}) as (job, lines):
        job.offer("good", "1.0")
        slow = BatchLine("slow", Slow(Request(("slow",))))
        result = BatchRun(job.context, on_ended=ended.set).run([*lines, slow])
        assert outcomes(result) == {"good": "taken", "slow": "failed"}


def test_what_ended_is_not_done_again_and_what_failed_only_if_asked_or_changed(tmp_path: Path) -> None:
    with job_of(tmp_path, {"good": ("good",), "bad": ("bad",)}) as (job, lines):
        job.offer("good", "1.0")
        job.offer("bad", "1.0", {"bad/__init__.py": b"def broken(:\n"})
        BatchRun(job.context).run(lines)
        assert asked(lines) == ["bad", "good"]

        again = BatchRun(job.context).run(lines)
        assert (asked(lines), outcomes(again), again.exit_code) == ([], {"good": "found", "bad": "failed"}, 1)
        assert again.failed_earlier == 1

        BatchRun(job.context, retry=True).run(lines)
        assert asked(lines) == ["bad"]

        limited = replace(job.context, limits=PackageLimits(seconds=3600))
        BatchRun(limited).run(lines)
        assert asked(lines) == ["bad"]

        recipe = tmp_path / "packages" / "bad" / "build.py"
        recipe.parent.mkdir(parents=True)
        recipe.write_text(
            "from builder import package_build\npackage_build.build_package(environment={'A': 'b'})\n"
        )
        BatchRun(replace(job.with_recipes(tmp_path / "packages").context, limits=limited.limits)).run(lines)
        assert asked(lines) == ["bad"]

        for wheel in (job.context.trees.dist / "good").rglob("*.whl"):
            wheel.unlink()
        BatchRun(job.context).run(lines)
        assert "good" in asked(lines)


def test_a_build_that_failed_for_one_line_is_not_tried_again_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def make(step: object, *_: object) -> None:
        tried.append(str(step.pin))  # type: ignore[attr-defined]
        raise BuildFailed("cc failed", hint="look")

    monkeypatch.setattr(batches, "make", make)
    with job_of(tmp_path, {"one": ("bad",), "two": ("bad",)}) as (job, lines):
        job.offer("bad", "1.0")
        result = BatchRun(job.context).run(lines)
        assert tried == ["bad==1.0"]
        assert set(outcomes(result).values()) == {"failed"}


@dataclass
class JoiningWorkers:
    """A cluster that has one worker until it makes a wheel; then it has four, and none ends before all have begun."""

    alone: BuildContext
    at_once: int = 1
    met: threading.Barrier = field(default_factory=lambda: threading.Barrier(4))

    def made(self, step: Step, store: RequirementsStore, _: BuildContext) -> WheelRecord:
        self.at_once = 4
        self.met.wait(30)
        return make(step, store, self.alone)

    def proven(self, candidate: Candidate, _: BuildContext) -> Proof:
        return proven_here(candidate, self.alone)


def test_lines_begin_at_once_on_workers_that_join_later(tmp_path: Path) -> None:
    names = [f"tea-{number}" for number in range(4)]
    with job_of(tmp_path, {name: (name,) for name in names}) as (job, lines):
        for name in names:
            job.offer(name, "1.0")
        result = BatchRun(replace(job.context, executor=JoiningWorkers(job.context))).run(lines)
    assert outcomes(result) == dict.fromkeys(names, "taken")


def test_closures_that_have_a_package_in_common_do_not_work_in_its_folder_at_once(tmp_path: Path) -> None:
    with offline_job(tmp_path) as job:
        entered, leave = threading.Event(), threading.Event()

        def work() -> None:
            with job.context.own_folder("common", "1.0"):
                entered.set()
                assert leave.wait(60)

        first = threading.Thread(target=work)
        first.start()
        assert entered.wait(60)
        assert not job.context.lock_for(job.context.folder("common", "1.0")).acquire(blocking=False)  # type: ignore[attr-defined]
        leave.set()
        first.join()


def test_a_run_that_was_killed_in_the_middle_of_a_line_goes_on(tmp_path: Path) -> None:
    with job_of(tmp_path, {"good": ("good",)}) as (job, lines):
        job.offer("good", "1.0")
        BatchRun(job.context).run(lines)
        journal = Journal.of(job.context.trees.dist, "ot2")
        with journal.path.open("a") as stream:
            stream.write('{"line":"other","outc')
        asked(lines)
        assert outcomes(BatchRun(job.context).run(lines)) == {"good": "found"}
        assert asked(lines) == []
        assert journal.read()[0] == ("good",)
        begun = [line for line in journal.path.read_text().splitlines() if line.startswith('{"asked"')]
        assert len(begun) == 2


def test_the_status_page_tells_how_far_it_is_with_a_chart_and_the_reasons(tmp_path: Path) -> None:
    closures = {"good": ("good",), "other": ("other",), "bad": ("bad",)}
    with job_of(tmp_path, closures) as (job, lines):
        for name in ("good", "other"):
            job.offer(name, "1.0")
        job.offer("bad", "1.0", {"bad/__init__.py": b"def broken(:\n"})
        BatchRun(job.context).run(lines)
        trees = job.context.trees
        Journal.of(trees.dist, "ot2").begin([*closures, "later"])
        write_site(trees.dist, trees.index)
        page = (trees.index / "status.html").read_text()
        assert "Many requirements for ot2" in page
        assert "<dt>Left</dt><dd>1</dd>" in page
        assert "1 failed: the wheel would not work on the target" in page
        assert page.count('<path class="') == 3
        (batch,) = read_batches([Journal.of(trees.dist, "ot2").path])
        assert batch.counts == {"built": 0, "taken": 2, "failed": 1}
        assert "0 built, 2 taken, 1 failed</title>" in batch_chart(batch)


def test_lines_come_from_the_command_and_from_files_with_their_options_and_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "names.txt").write_text(
        "numpy  # a remark\npandas<3\nnumpy\nwinreg; sys_platform == 'win32'\n-c bounds.txt\n--only-binary pandas\n"
    )
    (tmp_path / "bounds.txt").write_text("numpy<2\n")
    with offline_job(tmp_path / "job") as job:
        lines, context = batch_lines(Asking(Request(("six",), (tmp_path / "names.txt",))), job.context)
        assert [line.text for line in lines] == ["six", "numpy", "pandas<3", "numpy"]
        assert context.takes_only("pandas")
        (bounds,) = lines[1].asking.constraints
        assert bounds.read_text() == "numpy<2\n"
        assert not lines[0].asking.constraints
        (tmp_path / "poetry.lock").write_text("")
        with pytest.raises(UsageError, match="belongs together"):
            batch_lines(Asking(Request((), (tmp_path / "poetry.lock",))), job.context)
        with pytest.raises(UsageError, match="there is no file"):
            batch_lines(Asking(Request((), (tmp_path / "absent.txt",))), job.context)


def test_every_error_has_a_kind_that_can_be_counted() -> None:
    assert CrosswheelError("", hint="").kind
    assert BuildFailed.kind == "the build failed"
