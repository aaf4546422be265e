"""What advisories say of locked releases: excused ones do not count, and of the user's own projects there are none."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from crosswheel.audit.auditing import AdvisorySources
from crosswheel.audit.exceptions import AuditException
from crosswheel.audit.security_updates import Advised, mending
from crosswheel.errors import IntegrityError, UsageError
from crosswheel.job.context import BuildContext
from crosswheel.lock import Pin, read
from support.contexts import OfflineJob, offline_job

NOW = datetime.datetime(2025, 6, 1, tzinfo=datetime.timezone.utc)
DAY = NOW.date()


@pytest.fixture
def job(tmp_path: Path) -> Iterator[OfflineJob]:
    with offline_job(tmp_path) as offline:
        yield offline


def advised(context: BuildContext, database: Path, *excused: AuditException) -> Advised:
    return Advised(AdvisorySources((database,), (), 30), excused, NOW, context)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """One advisory: of alpha before 2.0, under a name that is spelled otherwise."""
    events = [{"introduced": "0"}, {"fixed": "2.0"}]
    affected = {
        "package": {"ecosystem": "PyPI", "name": "Alpha"},
        "ranges": [{"type": "ECOSYSTEM", "events": events}],
    }
    record = {
        "id": "PYSEC-1",
        "aliases": ["CVE-1"],
        "modified": "2025-05-30T00:00:00Z",
        "affected": [affected],
    }
    path = tmp_path / "advisories.json"
    path.write_text(json.dumps([record]))
    return path


def pin(name: str, version: str) -> Pin:
    return Pin(name, version, frozenset({"0" * 64}))


@dataclass(frozen=True)
class Project:
    """As much of a project of the user's own as is asked for."""

    name: str


def test_what_affects_locked_releases_is_told_by_their_names(job: OfflineJob, database: Path) -> None:
    known = advised(job.context, database)
    affected = known.affected([pin("alpha", "1.9"), pin("beta", "1.0")])
    assert {name: [finding.id for finding in found] for name, found in affected.items()} == {
        "alpha": ["PYSEC-1"]
    }
    assert not known.affected([pin("alpha", "2.0")])
    database.unlink()  # what was looked for is known
    assert known.affecting("alpha", "1.9")
    with pytest.raises(UsageError):
        known.affecting("alpha", "1.8")


def test_an_excused_advisory_counts_again_from_the_day_on_which_it_expires(
    job: OfflineJob, database: Path
) -> None:
    for expires, counts in ((DAY, True), (DAY + datetime.timedelta(days=1), False)):
        excused = AuditException(id="CVE-1", reason="never called", expires=expires)
        assert bool(advised(job.context, database, excused).affecting("alpha", "1.0")) is counts


def test_a_project_of_the_users_own_is_not_what_advisories_call_so(job: OfflineJob, database: Path) -> None:
    context = replace(job.context, projects=(Project("alpha"),))  # type: ignore[arg-type]
    assert not advised(context, database).affecting("alpha", "1.0")


def test_a_lock_that_nothing_affects_is_not_resolved_again(job: OfflineJob, database: Path) -> None:
    root = job.root("demo", "1.0", "demo==1.0")
    path = root.folder / f"{job.context.target.name}.lock"
    path.parent.mkdir(parents=True)
    path.write_text(f"# as-of: today\nalpha==2.0 --hash=sha256:{'0' * 64}\n")
    plan = mending(root, read(path), (), DAY, advised(job.context, database), job.context)
    assert (plan.renewal, plan.unmended) == (None, {})


def test_a_damaged_database_is_refused_again_and_never_taken_for_one_without_advisories(
    job: OfflineJob, database: Path
) -> None:
    database.write_bytes(database.read_bytes()[:-20])
    known = advised(job.context, database)
    for _ in range(2):
        with pytest.raises(IntegrityError):
            known.affecting("alpha", "1.0")
