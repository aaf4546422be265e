"""What was made is found again, and which wheels it leads to is what pip on the robot would install."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import pytest

from crosswheel import targets
from crosswheel.files import sha256_of
from crosswheel.job.record import WheelRecord
from crosswheel.job.requirement_graph import Requirements
from crosswheel.seals import Seals
from support.wheels import make_wheel

OT2 = targets.load("ot2")
SEALS = Seals(b"a key")


EMPTY = hashlib.sha256().hexdigest()


def made(name: str, *requires: str, wheel: Path = Path("a.whl")) -> WheelRecord:
    return WheelRecord(
        name=name,
        version="1",
        wheel=wheel,
        sha256=EMPTY,
        size=1,
        origin="built",
        reason="",
        source="",
        requires=requires,
    )


def reached(names: Iterable[str], *wheels: WheelRecord, locked: str = "") -> tuple[set[str], set[str]]:
    every = {wheel.name: wheel for wheel in wheels}
    return Requirements(dict.fromkeys([*every, *locked.split()], "1"), OT2).follow(names, every)


def unsatisfied(wheel: WheelRecord, *others: WheelRecord, root: str = "a") -> list[str]:
    every = {other.name: other for other in (wheel, *others)}
    versions = {name: other.version for name, other in every.items()}
    return [fault.message for fault in Requirements(versions, OT2, [root]).unsatisfied(wheel.name, every)]


def test_requirements_are_followed_to_the_end() -> None:
    assert reached(["a"], made("a", "B>=1"), made("b", "c.c"), made("c-c"), made("other")) == (
        {"a", "b", "c-c"},
        set(),
    )


def test_circles_end() -> None:
    assert reached(["a"], made("a", "b"), made("b", "a")) == ({"a", "b"}, set())


def test_what_is_locked_and_not_made_is_missing() -> None:
    assert reached(["a"], made("a", "b", "c"), made("c", "d"), locked="b d e") == ({"a", "c"}, {"b", "d"})


def test_what_is_not_locked_is_not_waited_for() -> None:
    assert reached(["a"], made("a", "unlocked")) == ({"a"}, set())


def test_markers_are_answered_for_the_robot() -> None:
    wheel = made(
        "a",
        "arm; platform_machine == 'armv7l'",
        "intel; platform_machine == 'x86_64'",
        "windows; sys_platform == 'win32'",
        "old; python_version < '3.11'",
        "new; python_version >= '3.11'",
    )
    names = ("arm", "intel", "windows", "old", "new")
    assert reached(["a"], wheel, *map(made, names))[0] == {"a", "arm", "old"}


def test_extras_lead_to_what_they_add() -> None:
    extra = made("x", "plain", "fast; extra == 'speed'", "other; extra == 'more'")
    every = [extra, *map(made, ("plain", "fast", "other"))]
    assert reached(["a"], made("a", "x"), *every)[0] == {"a", "x", "plain"}
    assert reached(["a"], made("a", "x[speed]"), *every)[0] == {"a", "x", "plain", "fast"}
    assert reached(["a"], made("a", "x", "x[Speed,more]"), *every)[0] == {"a", "x", "plain", "fast", "other"}


def test_an_extra_of_an_extra_is_followed() -> None:
    assert reached(
        ["a"], made("a", "x[all]"), made("x", "x[one]; extra == 'all'", "y; extra == 'one'"), made("y")
    ) == ({"a", "x", "y"}, set())


def test_what_was_asked_for_with_an_extra_is_followed_with_it() -> None:
    every = {wheel.name: wheel for wheel in (made("a", "b; extra == 'x'"), made("b"))}
    requirements = Requirements(dict.fromkeys(every, "1"), OT2, ["a[x]>=1", "b"])
    assert requirements.follow(["a"], every)[0] == {"a", "b"}


def test_what_a_wheel_requires_and_its_closure_lacks_is_named_with_it() -> None:
    (missing,) = unsatisfied(made("a", "absent>=1; platform_machine == 'armv7l'", "b"), made("b"))
    assert missing == 'a requires absent>=1; platform_machine == "armv7l", and its closure has no absent'
    (other,) = unsatisfied(made("a", "B>=2"), made("b"))
    assert other == "a requires B>=2, and its closure has B 1"
    (elsewhere,) = unsatisfied(made("a", "b @ file:///b.whl"), made("b"))
    assert "requires b @ file:///b.whl" in elsewhere


def test_what_the_robot_does_not_want_or_the_closure_has_is_no_fault() -> None:
    wheel = made("a", "absent; platform_machine == 'x86_64'", "absent; extra == 'x'", "b<2,>=1", "c")
    assert unsatisfied(wheel, made("b"), made("c").model_copy(update={"version": "1.0rc1"})) == []


def test_what_an_extra_adds_is_looked_for_where_the_extra_is_asked_for() -> None:
    extra = made("x", "one[two]; extra == 'some'", "own-fault")
    every = (extra, made("one", "absent; extra == 'two'"))
    assert "one[two] requires absent" in unsatisfied(made("a", "x[some]"), *every)[-1]
    assert [text for text in unsatisfied(made("a", "x"), *every) if "absent" in text] == []
    assert "a[more] requires absent" in unsatisfied(made("a", "absent; extra == 'more'"), root="A[more]")[0]


def test_what_was_made_is_found_and_says_so(tmp_path: Path) -> None:
    wheel = tmp_path / "a.whl"
    wheel.touch()
    first = made("a", "b", wheel=wheel)
    first.write(tmp_path / "kept", "kept", SEALS)
    found = WheelRecord.read(tmp_path / "kept", SEALS)
    assert found is not None
    assert found.is_kept
    assert found.model_copy(update={"is_kept": False}) == first


def test_what_was_not_made_or_lost_its_wheel_or_was_written_by_another_version_is_made_again(
    tmp_path: Path,
) -> None:
    assert WheelRecord.read(tmp_path, SEALS) is None
    made("a", wheel=tmp_path / "gone.whl").write(tmp_path, tmp_path.name, SEALS)
    assert WheelRecord.read(tmp_path, SEALS) is None
    (tmp_path / "gone.whl").touch()
    assert WheelRecord.read(tmp_path, SEALS) is not None
    for text in ("", "{", '{"name": "a"}', '{"from": "the future"}'):
        (tmp_path / "made.json").write_text(text)
        assert WheelRecord.read(tmp_path, SEALS) is None


def test_a_byte_that_changed_in_what_is_kept_is_noticed(tmp_path: Path) -> None:
    wheel = tmp_path / "a.whl"
    wheel.touch()
    made("a", wheel=wheel).write(tmp_path, tmp_path.name, SEALS)
    said = (tmp_path / "made.json").read_bytes()
    (tmp_path / "made.json").write_bytes(said.replace(b'"built"', b'"taken"'))
    assert WheelRecord.read(tmp_path, SEALS) is None
    (tmp_path / "made.json").write_bytes(said)
    assert WheelRecord.read(tmp_path, SEALS) is not None
    wheel.write_bytes(b"\1")
    assert WheelRecord.read(tmp_path, SEALS) is None


def test_a_record_and_its_wheel_that_were_replaced_together_are_noticed(tmp_path: Path) -> None:
    kept, other = tmp_path / "digest", tmp_path / "other"
    wheel = kept / "a.whl"
    record = made("a", wheel=wheel).model_copy(update={"sha256": hashlib.sha256(b"evil").hexdigest()})
    kept.mkdir()
    wheel.write_bytes(b"evil")
    record.write(kept, "digest", Seals(b"another key"))
    assert WheelRecord.read(kept, SEALS) is None
    record.write(kept, "digest", SEALS)
    assert WheelRecord.read(kept, SEALS) is not None
    kept.rename(other)  # under another digest, what was sealed there counts for nothing
    other.joinpath("a.whl").rename(tmp_path / "a.whl")
    assert WheelRecord.read(other, SEALS) is None


def test_a_cache_that_was_moved_keeps_its_wheels(tmp_path: Path) -> None:
    cache, moved, outside = (tmp_path / name for name in ("cache", "elsewhere/cache", "outside"))
    wheels = {
        "built": cache / "made" / "built" / "a.whl",
        "taken": cache / "files" / "0123" / "a.whl",
        "own": outside / "a.whl",
    }
    for digest, wheel in wheels.items():
        wheel.parent.mkdir(parents=True)
        wheel.touch()
        kept, temporary = cache / "made" / digest, cache / "made" / f".{digest}.new"
        made("a", wheel=wheel).write(temporary, digest, SEALS)
        kept.mkdir(exist_ok=True)
        (temporary / "made.json").replace(kept / "made.json")
    moved.parent.mkdir()
    cache.rename(moved)
    for digest, wheel in wheels.items():
        found = WheelRecord.read(moved / "made" / digest, SEALS)
        expected = wheel if digest == "own" else moved / wheel.relative_to(cache)
        assert found is not None
        assert found.wheel == expected


def test_what_was_built_with_another_fortran_is_made_again() -> None:
    built = made("a").model_copy(update={"toolchain": {"gfortran": "12.2.0-14"}})
    assert built.agrees("gfortran", "12.2.0-14")
    assert not built.agrees("gfortran", "13.1.0-2")
    assert built.agrees("gfortran", None)  # none is here to build it again with
    assert made("c").agrees("gfortran", "13.1.0-2")


@pytest.mark.parametrize("damage", ["record", "wheel", "empty"])
def test_a_record_takes_the_place_of_a_damaged_one(tmp_path: Path, damage: str) -> None:
    wheel, kept = make_wheel(tmp_path / "built", "a", "1.0", {"a.py": b"x = 1\n"}), tmp_path / "kept"
    record = made("a", wheel=kept / wheel.name).model_copy(update={"sha256": sha256_of(wheel)})
    if damage == "empty":
        kept.mkdir()
    else:
        record.keep(kept, [wheel], SEALS)
        (kept / ("made.json" if damage == "record" else wheel.name)).write_text("damaged")
    assert WheelRecord.read(kept, SEALS) is None
    record.keep(kept, [wheel], SEALS)
    assert WheelRecord.read(kept, SEALS) == record.model_copy(update={"is_kept": True})
