"""The provenance of a wheel lies beside it everywhere, and counts only where it is signed of these very bytes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from packageurl import PackageURL

from crosswheel.deploy.assembling import ProvenWheel
from crosswheel.deploy.signing import require_signed
from crosswheel.errors import IntegrityError
from crosswheel.files import sha256_of
from crosswheel.index.site import write_site
from crosswheel.job.attesting import _dependencies
from crosswheel.lock import Pin
from crosswheel.provenance.sbom import Described, wheel_sbom
from crosswheel.publish import publish
from crosswheel.signing.keys import SigningKey
from crosswheel.stores.folder import FolderStore
from crosswheel.wheels import provenance
from crosswheel.wheels.dist import Dist
from crosswheel.wheels.materials import Material, Materials
from crosswheel.wheels.proof import Proof
from crosswheel.wheels.writing import EPOCH
from support.releases import this_machine
from support.sites import add_wheel, prove

KEY = SigningKey.new()


def attested(folder: Path, key: SigningKey | None = KEY, kind: str = provenance.PROVENANCE) -> ProvenWheel:
    """Return a wheel with its proof and its provenance."""
    wheel = add_wheel(folder / "dist", "a", "1")
    name = this_machine().name
    proof_path = prove(wheel, name)
    proof = Proof.read(proof_path)
    assert proof is not None
    byproducts = [{"name": proof_path.name, "digest": {"sha256": sha256_of(proof_path)}}]
    said = provenance.statement({wheel.name: proof.sha256}, kind, {"runDetails": {"byproducts": byproducts}})
    provenance.write(provenance.path_beside(wheel, name), said, key)
    return ProvenWheel(Pin("a", "1", frozenset()), wheel, proof)


def require(wheel: ProvenWheel, *trusted: SigningKey) -> None:
    require_signed([wheel], this_machine(), [key.public for key in trusted])


def test_a_wheel_that_a_trusted_key_vouches_for_is_taken(tmp_path: Path) -> None:
    require(attested(tmp_path), SigningKey.new(), KEY)


def test_a_wheel_without_a_provenance_is_refused(tmp_path: Path) -> None:
    wheel = attested(tmp_path)
    provenance.path_beside(wheel.path, this_machine().name).unlink()
    with pytest.raises(IntegrityError, match="is missing: nothing tells who made the wheel"):
        require(wheel, KEY)


@pytest.mark.parametrize("key", [None, SigningKey.new()], ids=["nobody", "another"])
def test_a_wheel_that_nobody_or_another_key_vouches_for_is_refused(
    tmp_path: Path, key: SigningKey | None
) -> None:
    with pytest.raises(IntegrityError, match="not signed"):
        require(attested(tmp_path, key), KEY)


def test_a_forged_proof_is_refused(tmp_path: Path) -> None:
    wheel = attested(tmp_path)
    forged = wheel.proof.model_copy(update={"imported": ("all.of.it",), "traces": {}})
    forged.write_beside(wheel.path)
    with pytest.raises(IntegrityError, match="is not the proof that was signed with the wheel"):
        require(ProvenWheel(wheel.pin, wheel.path, forged), KEY)


def test_the_provenance_of_another_wheel_is_refused(tmp_path: Path) -> None:
    wheel = attested(tmp_path)
    other = wheel.proof.model_copy(update={"sha256": "0" * 64})
    with pytest.raises(IntegrityError, match="is not the provenance of the wheel"):
        require(ProvenWheel(wheel.pin, wheel.path, other), KEY)


def test_another_statement_of_ours_about_the_wheel_is_no_provenance(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="is not the provenance of the wheel"):
        require(attested(tmp_path, kind="urn:crosswheel:rebuild:v1"), KEY)


def test_what_says_the_same_stays_as_it_is(tmp_path: Path) -> None:
    wheel = attested(tmp_path)
    path = provenance.path_beside(wheel.path, this_machine().name)
    before = path.stat().st_ino
    attested(tmp_path)
    assert path.stat().st_ino == before


@pytest.mark.parametrize("key", [None, KEY], ids=["bare", "signed"])
def test_a_provenance_is_read_without_a_key_too(tmp_path: Path, key: SigningKey | None) -> None:
    wheel = attested(tmp_path, key)
    found = provenance.read_unverified(provenance.path_beside(wheel.path, this_machine().name))
    assert found is not None
    assert found["subject"][0]["digest"]["sha256"] == wheel.proof.sha256


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"payload": "e30="}', '{"payload": 1}', "\0"])
def test_a_provenance_that_is_damaged_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "it").write_text(text)
    assert provenance.read_unverified(tmp_path / "it") is None
    assert provenance.read_unverified(tmp_path / "none") is None


def test_it_goes_with_its_wheel_into_the_index_and_the_channel(tmp_path: Path) -> None:
    wheel = attested(tmp_path)
    write_site(tmp_path / "dist", tmp_path / "index")
    publish(tmp_path / "index", FolderStore(tmp_path / "channel"))
    path = provenance.path_beside(wheel.path, this_machine().name)
    for root in ("index", "channel"):
        assert (tmp_path / root / "simple/a" / path.name).read_bytes() == path.read_bytes()
    path.unlink()
    write_site(tmp_path / "dist", tmp_path / "index")
    assert not (tmp_path / "index/simple/a" / path.name).exists()


def test_it_goes_where_the_proof_goes_and_is_gone_with_it(tmp_path: Path) -> None:
    dist, name = Dist(tmp_path / "dist"), "demo-1.0-cp36-abi3-linux_armv7l.whl"

    def put(text: str, target: str) -> Path:
        made = tmp_path / "made" / name
        made.parent.mkdir(exist_ok=True)
        made.write_text(text)
        proof = Proof(wheel=name, sha256=sha256_of(made), target=target, origin="built", reason="", source="")
        placed = dist.put(made, proof, dist.root / "demo/1.0")
        assert not provenance.path_beside(placed, target).exists()  # it was of other bytes
        said = provenance.statement({name: proof.sha256}, provenance.PROVENANCE, {"target": target})
        provenance.write(provenance.path_beside(placed, target), said, None)
        return placed

    put("one", "ot2")
    put("two", "flex")
    assert provenance.path_beside(put("two", "ot2"), "ot2").is_file()
    names = {path.name for path in dist.root.rglob("*.provenance.json")}
    assert names == {f"{name}.ot2.provenance.json", f"{name}.flex.provenance.json"}
    for path in dist.root.rglob("*.provenance.json"):
        said = json.loads(path.read_text())
        wheel = path.with_name(name)
        assert said["subject"][0]["digest"]["sha256"] == sha256_of(wheel), path


@pytest.mark.parametrize(
    ("file", "hashes_in_sbom"),
    [
        ("cython-3.0.12-py3-none-any.whl", ["ab"]),
        ("cython-3.0.12.tar.gz", ["ab"]),
        # Which of these it is depends on the machine that builds; the wheel that has the SBOM must not.
        ("cython-3.0.12-cp310-cp310-manylinux_2_17_x86_64.whl", []),
    ],
)
def test_the_file_of_a_build_requirement_is_named_with_its_hash(file: str, hashes_in_sbom: list[str]) -> None:
    cython = Material(
        role="requirement",
        name="cython",
        version="3.0.12",
        purl="pkg:pypi/cython@3.0.12",
        sha256=("ab",),
        file=file,
    )
    materials = Materials(source=Material(role="source", name="demo"), requirements=(cython,))
    (stated,) = [item for item in _dependencies(materials) if item["name"] == "cython==3.0.12"]
    assert stated["digest"] == {"sha256": "ab"}
    assert PackageURL.from_string(str(stated["uri"])).qualifiers == {"file_name": file}
    sbom = json.loads(wheel_sbom(Described("demo", "1.0", "demo-1.0-py3-none-any.whl"), materials, EPOCH))
    (part,) = sbom["components"]
    assert [item["content"] for item in part.get("hashes", [])] == hashes_in_sbom
    assert part["purl"] == "pkg:pypi/cython@3.0.12"
