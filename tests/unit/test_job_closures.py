"""A closure is what its lock says and the registry has; what is unfit is refused before anything is built."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from crosswheel import lock as locks
from crosswheel.build.requirements import RequirementsStore, own_store
from crosswheel.errors import LockError, PlanError, RecipeError
from crosswheel.job.asking import Prepared
from crosswheel.job.closures import closure_of_lock, closure_of_pins, root_of_lock
from crosswheel.job.context import BuildContext
from crosswheel.job.locking import _replace_committed, renew
from crosswheel.job.releasing import Releasing
from crosswheel.lock import Lock, Pin
from crosswheel.resolver import Request
from support.contexts import OfflineJob, offline_job
from support.projects import make_sdist, pure_project

DAY = datetime.date(2025, 4, 25)


@pytest.fixture
def job(tmp_path: Path) -> Iterator[OfflineJob]:
    with offline_job(tmp_path) as job:
        yield job


def pin_of(job: OfflineJob, name: str, version: str = "1.0") -> Pin:
    """Return a pin of all that the registry has of a release."""
    files = job.context.registry.release_files(name, version, refresh=True)
    return Pin(name, version, frozenset(file.sha256 for file in files))


def store(job: OfflineJob) -> RequirementsStore:
    return own_store(job.context.trees.build, "tea", job.context.target, DAY)


def test_each_pin_becomes_a_step(job: OfflineJob) -> None:
    job.offer("tea", "1.0")
    job.registry.add(make_sdist(job.folder / "sdists", pure_project("milk"), name="milk"))
    closure = closure_of_pins(["tea"], [pin_of(job, "tea"), pin_of(job, "milk")], store(job), job.context)
    assert {name: step.action for name, step in closure.steps.items()} == {"tea": "take", "milk": "build"}
    assert closure.versions == {"tea": "1.0", "milk": "1.0"}
    assert closure.is_complete


def test_what_the_registry_has_said_is_planned_again_without_asking_it_or_starting_a_thread(
    job: OfflineJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.offer("tea", "1.0")
    pins = [pin_of(job, "tea")]
    asked = job.registry.server.requested.total()
    monkeypatch.delattr(BuildContext, "questions")
    assert closure_of_pins(["tea"], pins, store(job), job.context).steps["tea"].action == "take"
    assert job.registry.server.requested.total() == asked


def test_what_is_to_be_taken_only_is_never_built(job: OfflineJob) -> None:
    job.registry.add(make_sdist(job.folder / "sdists", pure_project("milk"), name="milk"))
    context = replace(job.context, only_binary=frozenset({"milk"}))
    with pytest.raises(PlanError, match=r"milk==1\.0 would be built .* --only-binary"):
        closure_of_pins(["milk"], [pin_of(job, "milk")], store(job), context)
    assert (
        closure_of_pins(["milk"], [pin_of(job, "milk")], store(job), job.context).steps["milk"].action
        == "build"
    )


def test_what_its_publisher_withdrew_is_used_and_told(job: OfflineJob) -> None:
    job.offer("tea", "1.0")
    page = job.registry.server.folder / "simple/tea/index.json"
    project = json.loads(page.read_text())
    project["files"][0]["yanked"] = "it is bitter"
    page.write_text(json.dumps(project))
    assert (
        closure_of_pins(["tea"], [pin_of(job, "tea")], store(job), job.context).steps["tea"].action == "take"
    )
    assert "tea==1.0 was yanked: its publisher withdrew it: it is bitter" in job.printed.getvalue()


def test_a_lock_newer_than_the_cached_answer_of_the_registry_is_looked_up_again(job: OfflineJob) -> None:
    job.offer("tea", "1.0", tag="py2-none-any")
    pin_of(job, "tea")  # asks the registry, whose answer is kept
    later = job.offer("tea", "1.0")
    files = job.context.registry.release_files("tea", "1.0")
    assert [file.filename for file in files] == ["tea-1.0-py2-none-any.whl"]
    locked = Pin("tea", "1.0", frozenset({job.registry.add(later)}))
    assert closure_of_pins(["tea"], [locked], store(job), job.context).steps["tea"].action == "take"


def test_a_root_whose_folder_names_no_release_of_its_closure_is_refused(job: OfflineJob) -> None:
    job.offer("tea", "1.0")
    lock = Lock({}, {"tea": pin_of(job, "tea")})
    fits = job.root("tea", "1.0", "tea")
    assert set(closure_of_lock(fits, lock, store(job), job.context).steps) == {"tea"}
    with pytest.raises(
        RecipeError, match=r"tea 2\.0, which is no release of its closure, which has tea==1\.0"
    ):
        closure_of_lock(job.root("tea", "2.0", "tea"), lock, store(job), job.context)
    title = job.root("breakfast", "1.0", "tea")  # its folder's name is only a title
    assert set(closure_of_lock(title, lock, store(job), job.context).steps) == {"tea"}


def test_a_lock_that_lies_alone_says_what_it_is_for_or_is_refused(job: OfflineJob) -> None:
    path = job.folder / "packages/tea/1.0/ot2.lock"
    locks.write(path, locks.purpose(("milk", "tea==1.0"), job.context.target, DAY), "")
    root = root_of_lock(path)
    assert (root.name, root.version, root.as_of, root.roots) == ("tea", "1.0", DAY, ("milk", "tea==1.0"))
    locks.write(path, {"target": "ot2"}, "")
    with pytest.raises(LockError, match=r"ot2\.lock does not say what it is for"):
        root_of_lock(path)


def test_a_renewed_lock_tells_what_changed_and_holds_what_there_is_now(job: OfflineJob) -> None:
    job.offer("tea", "1.0", requires=["milk"])
    job.offer("milk", "1.0")
    root = job.root("breakfast", "1.0", "tea")
    path = locks.path_of(root, job.context.target)
    assert len(renew(root, job.context)) == 2
    assert {pin.version for pin in locks.read(path).pins.values()} == {"1.0"}
    job.offer("milk", "2.0")
    (change,) = renew(root, job.context)
    assert "milk" in change
    assert locks.read(path).pins["milk"].version == "2.0"
    assert renew(root, job.context) == []


def test_a_lock_that_cannot_be_renewed_stays_as_it_was(job: OfflineJob) -> None:
    job.offer("tea", "1.0")
    root = job.root("breakfast", "1.0", "tea")
    renew(root, job.context)
    path = locks.path_of(root, job.context.target)
    before = path.read_bytes()
    with pytest.raises(LockError):
        renew(job.root("breakfast", "1.0", "tea", "absent"), job.context)
    assert path.read_bytes() == before


def test_locked_requirements_of_builds_that_are_no_more_go_with_the_lock(job: OfflineJob) -> None:
    root, drafts = job.root("tea", "1.0", "tea"), RequirementsStore(job.folder / "drafts", DAY, frozen=False)
    committed = root.folder / f"{job.context.target.name}.build"
    for folder, names in ((committed, ["old", "both"]), (drafts.folder, ["both", "new"])):
        folder.mkdir(parents=True)
        for name in names:
            (folder / f"{name}.txt").write_text(folder.name)
    _replace_committed(root, drafts, job.context.target)
    assert {path.name: path.read_text() for path in committed.iterdir()} == {
        "both.txt": "drafts",
        "new.txt": "drafts",
    }


def test_what_only_runs_what_is_released_may_be_pure(job: OfflineJob) -> None:
    prepared = Prepared(Request(("Demo[fast]>=1",)), job.context)
    released = prepared.for_release(Releasing(alone=True)).context
    assert [job.context.preference(name) for name in ("demo", "helper")] == ["native", "native"]
    assert [released.preference(name) for name in ("demo", "helper")] == ["native", "published"]
    assert replace(released, prefer="source").preference("helper") == "source"
