"""The tree of wheels: where each target's wheel lies, and that nothing proven is replaced by another target's."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from crosswheel.errors import IntegrityError
from crosswheel.wheels.dist import Dist
from crosswheel.wheels.proof import Proof

NAME = "demo-1.0-cp36-abi3-linux_armv7l.whl"


@pytest.fixture
def dist(tmp_path: Path) -> Dist:
    return Dist(tmp_path / "dist")


def put(
    dist: Dist, text: str, target: str, *, name: str = NAME, folder: str = "demo/1.0", reason: str = ""
) -> Path:
    """Put a wheel with some bytes into the tree, proven on a target."""
    made = dist.root.parent / "made" / name
    made.parent.mkdir(exist_ok=True)
    made.write_text(text)
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    proof = Proof(wheel=name, sha256=sha256, target=target, origin="built", reason=reason, source="sdist")
    placed = dist.put(made, proof, dist.root / folder)
    made.unlink()
    return placed


def tree(dist: Dist) -> dict[str, str]:
    """Return the wheels that lie in the tree, and for each proof the bytes that it is of."""
    found = {}
    for path in sorted(dist.root.rglob("*")):
        if path.is_file():
            proof = Proof.read(path) if path.suffix == ".json" else None
            wheel = path.with_name(proof.wheel) if proof else path
            if proof:
                assert hashlib.sha256(wheel.read_bytes()).hexdigest() == proof.sha256
            found[str(path.relative_to(dist.root))] = wheel.read_text()
    return found


def test_a_wheel_lies_with_its_proof_in_the_folder_of_its_release(dist: Dist) -> None:
    assert put(dist, "one", "ot2") == dist.root / "demo/1.0" / NAME
    assert tree(dist) == {f"demo/1.0/{NAME}": "one", f"demo/1.0/{NAME}.ot2.proof.json": "one"}


def test_two_targets_share_a_wheel_of_the_same_bytes(dist: Dist) -> None:
    assert put(dist, "one", "ot2") == put(dist, "one", "flex")
    assert [path.name for path in dist.wheels("demo", "1.0")] == [NAME]
    assert [len(dist.proven("demo", "1", target)) for target in ("ot2", "flex", "other")] == [1, 1, 0]


def test_other_bytes_of_another_target_lie_in_a_folder_of_their_own(dist: Dist) -> None:
    put(dist, "one", "ot2")
    assert put(dist, "two", "debian-armhf") == dist.root / "demo/1.0/debian-armhf" / NAME
    for target, text in (("ot2", "one"), ("debian-armhf", "two")):
        ((wheel, proof),) = dist.proven("demo", "1.0", target)
        assert (wheel.read_text(), proof.target) == (text, target)


def test_the_same_again_changes_nothing(dist: Dist) -> None:
    for _ in range(2):
        put(dist, "one", "ot2")
        put(dist, "two", "flex")
        assert [len(tree(dist)), tree(dist)[f"demo/1.0/flex/{NAME}"]] == [4, "two"]


def test_a_target_that_made_a_wheel_anew_never_replaces_what_was_proven_on_another(dist: Dist) -> None:
    put(dist, "one", "ot2")
    put(dist, "one", "flex")
    put(dist, "three", "ot2")
    assert tree(dist)[f"demo/1.0/{NAME}"] == "one"
    assert [wheel.read_text() for wheel, _ in dist.proven("demo", "1.0", "ot2")] == ["three"]
    put(dist, "three", "flex")
    assert list(tree(dist)) == [
        f"demo/1.0/{NAME}", f"demo/1.0/{NAME}.flex.proof.json", f"demo/1.0/{NAME}.ot2.proof.json",
    ]  # fmt: skip
    assert set(tree(dist).values()) == {"three"}


def test_what_becomes_the_same_lies_in_one_place_again(dist: Dist) -> None:
    put(dist, "one", "ot2")
    put(dist, "two", "flex")
    put(dist, "one", "flex")
    assert [str(path) for path in tree(dist)] == [
        f"demo/1.0/{NAME}", f"demo/1.0/{NAME}.flex.proof.json", f"demo/1.0/{NAME}.ot2.proof.json",
    ]  # fmt: skip
    assert not (dist.root / "demo/1.0/flex").exists()


def test_what_the_same_target_had_of_the_release_goes(dist: Dist) -> None:
    put(dist, "one", "ot2", name="demo-1.0-py3-none-any.whl")
    put(dist, "two", "ot2")
    assert list(tree(dist).values()) == ["two", "two"]
    put(dist, "three", "ot2", folder="Demo/1.0.0")
    assert list(tree(dist).values()) == ["three", "three"]


def test_a_release_is_found_however_its_folders_are_spelled(dist: Dist) -> None:
    name = "de_mo-2024.8.30-py3-none-any.whl"
    put(dist, "one", "ot2", name=name, folder="De.Mo/2024.08.30")
    assert [path.name for path in dist.wheels("de-mo", "2024.8.30")] == [name]
    assert dist.wheels("demo", "2024.8.30") == dist.wheels("de-mo", "2024.8.3") == []


def test_many_look_ups_list_the_projects_once(dist: Dist) -> None:
    put(dist, "one", "ot2", folder="Demo/1.0")
    listed = dist.listed()
    put(dist, "two", "ot2", name=NAME.replace("demo", "later"), folder="later/1.0")
    assert listed.proven("demo", "1", "ot2") == dist.proven("demo", "1", "ot2") != []
    assert listed.wheels("later", "1.0") == []
    assert len(dist.wheels("later", "1.0")) == 1


def test_a_damaged_proof_is_none_and_is_written_anew(dist: Dist) -> None:
    placed = put(dist, "one", "ot2")
    proof = placed.with_name(f"{NAME}.ot2.proof.json")
    proof.write_text("{}")
    assert dist.proven("demo", "1.0", "ot2") == []
    assert put(dist, "one", "ot2") == placed
    assert len(dist.proven("demo", "1.0", "ot2")) == 1


def test_a_wheel_that_changed_since_it_was_proven_is_not_put_there(dist: Dist, tmp_path: Path) -> None:
    proof = Proof(wheel=NAME, sha256="0" * 64, target="ot2", origin="built", reason="", source="sdist")
    (tmp_path / NAME).write_text("other")
    with pytest.raises(IntegrityError, match="was changed after it was proven"):
        dist.put(tmp_path / NAME, proof, dist.root / "demo/1.0")
    assert tree(dist) == {}


def test_a_byte_that_changed_in_the_tree_is_mended(dist: Dist) -> None:
    placed = put(dist, "one", "ot2")
    placed.write_text("two")
    put(dist, "one", "ot2")
    assert placed.read_text() == "one"
