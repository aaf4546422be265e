"""The lock: exact, readable, refused when it no longer fits, and made by a real resolver from a real registry."""

from __future__ import annotations

import datetime
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from crosswheel import lock as locks
from crosswheel import targets
from crosswheel.errors import LockError, NetworkError, UsageError
from crosswheel.lock import Lock, Pin
from crosswheel.process import Runner
from crosswheel.resolver import Request, Resolver
from crosswheel.settings import Settings
from crosswheel.uv import ReleaseMetadata, Uv, end_of
from support.registries import LocalRegistry, local_registry
from support.wheels import make_wheel

OT2 = targets.load("ot2")
DAY = datetime.date(2025, 4, 25)
ROOT = Path(__file__).resolve().parents[2]
COMMITTED = sorted([*ROOT.glob("packages/*/*/*.lock"), *ROOT.glob("examples/*/packages/*/*/*.lock")])
FIRST, SECOND = "1" * 64, "2" * 64
RESOLVED = f"""\
alpha==1.0 \\
    --hash=sha256:{FIRST} \\
    --hash=sha256:{SECOND}
    # via
    #   -r requirements.in
    #   ruamel.yaml
ruamel-yaml[libyaml]==0.18.10 ; platform_machine == 'armv7l' \\
    --hash=sha256:{SECOND}
    # via -r requirements.in
"""
PINS = {
    "alpha": Pin("alpha", "1.0", frozenset({FIRST, SECOND})),
    "ruamel-yaml": Pin("ruamel-yaml", "0.18.10", frozenset({SECOND})),
}


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[LocalRegistry]:
    with local_registry(tmp_path / "registry") as served:
        yield served


def uv_for(url: str, folder: Path) -> Uv:
    return Uv(Settings(cache=folder / "cache", github="", registry=url), Runner())


def resolve(registry: LocalRegistry, folder: Path, *requirements: str) -> Lock:
    """Resolve requirements for this interpreter."""
    uv = uv_for(registry.url, folder)
    found = Resolver(OT2, Path(sys.executable), uv, unasked).resolve(Request(requirements), None)
    return locks.write(folder / "ot2.lock", found.made_for, found.text)


def unasked(name: str, version: str) -> ReleaseMetadata:
    raise AssertionError(f"{name} {version} tells its metadata itself")


def lock_of(**versions: str) -> Lock:
    return Lock({}, {name: Pin(name, version, frozenset({FIRST})) for name, version in versions.items()})


def test_a_lock_reads_as_it_was_written(tmp_path: Path) -> None:
    purpose = locks.purpose(["prefect==3.3.4"], OT2, DAY)
    written = locks.write(tmp_path / "new" / "ot2.lock", purpose, RESOLVED)
    read = locks.read(tmp_path / "new" / "ot2.lock")
    assert read == written
    assert read.pins == PINS
    assert read.made_for == {
        "requirements": "prefect==3.3.4",
        "target": "ot2",
        "python": "3.10.8",
        "platform": "armv7l, glibc 2.25",
        "as-of": "2025-04-25",
    }


def test_a_lock_is_a_requirements_file_that_pip_reads(tmp_path: Path) -> None:
    locks.write(tmp_path / "ot2.lock", locks.purpose(["a"], OT2, DAY), RESOLVED)
    said = [line for line in (tmp_path / "ot2.lock").read_text().splitlines() if not line.startswith("#")]
    assert said == RESOLVED.splitlines()


def test_a_missing_lock_is_answered_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(LockError, match=r"there is no lock .*ot2\.lock") as caught:
        locks.read(tmp_path / "ot2.lock")
    assert "crosswheel lock" in caught.value.hint


@pytest.mark.parametrize(
    "line", ["alpha", "alpha>=1", "alpha==1.*", "alpha===1", "alpha==1,==2", "<<<<<<< HEAD", "-r other.txt"]
)
def test_a_line_that_is_not_an_exact_release_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "ot2.lock").write_text(f"# target: ot2\n{line}\n")
    with pytest.raises(LockError) as caught:
        locks.read(tmp_path / "ot2.lock")
    assert f"{tmp_path / 'ot2.lock'}: {line!r} is not an exact requirement" in caught.value.message


def test_a_release_without_hash_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ot2.lock").write_text("# target: ot2\nalpha==1.0\n")
    with pytest.raises(LockError, match=r"alpha==1\.0.*hash"):
        locks.read(tmp_path / "ot2.lock")


def test_a_lock_fits_what_it_was_made_for(tmp_path: Path) -> None:
    purpose = locks.purpose(["b", "a"], OT2, DAY)
    lock = locks.write(tmp_path / "ot2.lock", purpose, RESOLVED)
    locks.require_fit(lock, tmp_path / "ot2.lock", locks.purpose(["a", "b"], OT2, DAY))


@pytest.mark.parametrize("path", COMMITTED, ids=[str(path.relative_to(ROOT)) for path in COMMITTED])
def test_a_committed_lock_fits_the_target_as_it_is(path: Path) -> None:
    target, lock = targets.load(path.stem), locks.read(path)
    requirement = f"{path.parent.parent.name}=={path.parent.name}"
    day = datetime.date.fromisoformat(lock.made_for["as-of"])
    locks.require_fit(lock, path, locks.purpose([requirement], target, day))
    assert lock.pins[path.parent.parent.name].version == path.parent.name


def test_a_lock_that_does_not_fit_tells_what_changed(tmp_path: Path) -> None:
    lock = locks.write(tmp_path / "ot2.lock", locks.purpose(["a"], OT2, DAY), RESOLVED)
    with pytest.raises(LockError) as caught:
        locks.require_fit(lock, tmp_path / "ot2.lock", locks.purpose(["a", "b"], OT2, None))
    assert caught.value.message.splitlines() == [
        f"{tmp_path / 'ot2.lock'} no longer fits its recipe:",
        "    requirements: the lock has 'a', the recipe and target say 'a, b'",
        "    as-of: the lock has '2025-04-25', the recipe and target say 'today'",
    ]
    assert "crosswheel lock" in caught.value.hint


def test_a_file_of_requirements_that_tells_no_purpose_does_not_fit(tmp_path: Path) -> None:
    (tmp_path / "ot2.lock").write_text(RESOLVED)
    lock = locks.read(tmp_path / "ot2.lock")
    with pytest.raises(LockError, match="target: the lock has 'nothing', the recipe and target say 'ot2'"):
        locks.require_fit(lock, tmp_path / "ot2.lock", locks.purpose(["a"], OT2, DAY))


def test_changes_are_told_release_by_release() -> None:
    old, new = lock_of(gone="1", kept="1", moved="1"), lock_of(kept="1", moved="2", new="1")
    assert locks.changes(old, new) == ["gone: 1 -> gone", "moved: 1 -> 2", "new: new -> 1"]
    assert locks.changes(None, lock_of(alpha="1")) == ["alpha: new -> 1"]
    assert locks.changes(old, old) == []
    other_files = Lock({}, {"kept": Pin("kept", "1", frozenset({SECOND}))})
    assert locks.changes(lock_of(kept="1"), other_files) == ["kept: 1, other files"]


def test_the_digest_names_the_set_and_nothing_else(tmp_path: Path) -> None:
    lock = locks.write(tmp_path / "a.lock", locks.purpose(["a"], OT2, DAY), RESOLVED)
    without_comments = "\n".join(line for line in RESOLVED.splitlines() if "# " not in line) + "\n"
    assert locks.write(tmp_path / "b.lock", lock.made_for, without_comments).digest == lock.digest
    changed = RESOLVED.replace("alpha==1.0", "alpha==1.1")
    assert locks.write(tmp_path / "c.lock", lock.made_for, changed).digest != lock.digest


def test_requirements_become_exact_releases_with_their_hashes(
    tmp_path: Path, registry: LocalRegistry
) -> None:
    wheels = tmp_path / "wheels"
    registry.add(make_wheel(wheels, "Alpha", "1.0", {}))
    alpha = registry.add(make_wheel(wheels, "Alpha", "1.1", {}, requires=["beta.b<2"]))
    beta = registry.add(make_wheel(wheels, "Beta_B", "1.5", {}))
    registry.add(make_wheel(wheels, "Beta_B", "2.0", {}))
    assert resolve(registry, tmp_path, "alpha").pins == {
        "alpha": Pin("alpha", "1.1", frozenset({alpha})),
        "beta-b": Pin("beta-b", "1.5", frozenset({beta})),
    }


def test_a_lock_names_no_host_and_no_folder(tmp_path: Path, registry: LocalRegistry) -> None:
    registry.add(make_wheel(tmp_path / "wheels", "alpha", "1.0", {}))
    resolve(registry, tmp_path, "alpha")
    text = (tmp_path / "ot2.lock").read_text()
    assert "127.0.0.1" not in text
    assert "://" not in text
    assert str(tmp_path) not in text
    assert "/tmp" not in text


def test_requirements_without_a_solution_tell_which_package_wants_what(
    tmp_path: Path, registry: LocalRegistry
) -> None:
    wheels = tmp_path / "wheels"
    registry.add(make_wheel(wheels, "alpha", "1.0", {}, requires=["shared<2"]))
    registry.add(make_wheel(wheels, "beta", "1.0", {}, requires=["shared>=2"]))
    for version in ("1.0", "2.0"):
        registry.add(make_wheel(wheels, "shared", version, {}))
    with pytest.raises(LockError) as caught:
        resolve(registry, tmp_path, "alpha", "beta")
    said = " ".join(caught.value.message.split())
    assert "no set of releases satisfies alpha, beta for ot2" in said
    assert re.search(r"alpha\S* depends? on shared<2", said), said
    assert re.search(r"beta\S* depends? on shared>=2", said), said
    assert "as_of" in caught.value.hint
    assert not (tmp_path / "ot2.lock").exists()


def test_a_package_that_nobody_offers_is_no_network_problem(tmp_path: Path, registry: LocalRegistry) -> None:
    with pytest.raises(LockError, match="connector"):
        resolve(registry, tmp_path, "connector")


def test_a_registry_that_cannot_be_reached_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    uv = uv_for("http://127.0.0.1:9/simple", tmp_path)
    with pytest.raises(NetworkError, match="could not be asked about alpha for ot2") as caught:
        Resolver(OT2, Path(sys.executable), uv, unasked).resolve(Request(("alpha",)), None)
    assert "UV_DEFAULT_INDEX" in caught.value.hint


def test_a_day_ends_at_midnight_utc() -> None:
    assert end_of(datetime.date(2024, 12, 31)) == "2025-01-01T00:00:00Z"


@pytest.mark.parametrize("text", ["a b c", "==1", "./folder", "demo=1", ""])
def test_what_is_no_requirement_is_named(text: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"{text!r} is not a requirement: ")):
        locks.parsed(text)
