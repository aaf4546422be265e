"""Writes a wheel's provenance beside it in ``dist/``, signed where there is a key.

The provenance has all that :mod:`crosswheel.job.rebuilding` needs to build the wheel again. It does not say when or on
which machine the wheel was built, so that two machines write the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from packageurl import PackageURL

from crosswheel import __version__
from crosswheel.files import digest_of, sha256_of
from crosswheel.job.context import BuildContext
from crosswheel.job.record import WheelRecord
from crosswheel.plan import Step
from crosswheel.signing.keys import KeyFolder, SigningKey
from crosswheel.targets import Target
from crosswheel.wheels import provenance
from crosswheel.wheels.materials import Material, Materials
from crosswheel.wheels.proof import Proof

# in-toto's names for the digests that identify a state of a git repository.
_GIT = {"git-commit": "gitCommit", "git-tree": "gitTree"}


def attest(step: Step, record: WheelRecord, proof: Proof, wheel: Path, context: BuildContext) -> None:
    """Write the provenance of a proven wheel beside it.

    Args:
        record: the wheel's record.
        proof: the wheel's proof.
        wheel: the wheel's path in ``dist/``.

    Raises:
        UsageError: the signing key cannot be used.
        StorageError: the provenance cannot be written.
    """
    key = KeyFolder.of(context.settings.keys).signing_key()
    definition = _of_other_target(record, wheel, context.target) or _definition(step, record, context)
    proof_path = proof.path_beside(wheel)
    predicate = {
        "buildDefinition": definition,
        "runDetails": {
            "builder": {"id": _builder(key), "version": {"crosswheel": __version__}},
            "byproducts": [{"name": proof_path.name, "digest": {"sha256": sha256_of(proof_path)}}],
        },
    }
    said = provenance.statement({wheel.name: record.sha256}, provenance.PROVENANCE, predicate)
    provenance.write(provenance.path_beside(wheel, context.target.name), said, key)


def _builder(key: SigningKey | None) -> str:
    """Return the id of the builder that vouches for a statement: its key, or the one that stands for nobody."""
    return f"urn:crosswheel:key:{key.public.hexadecimal}" if key else "urn:crosswheel:unsigned"


def _definition(step: Step, record: WheelRecord, context: BuildContext) -> Mapping[str, object]:
    """Return SLSA's build definition: what the wheel was made from, and how."""
    external = {"package": str(step.pin), "target": context.target.name}
    if record.lock is None:
        return {
            "buildType": provenance.TAKEN,
            "externalParameters": external,
            "resolvedDependencies": [_dependency(record.wheel.name, {"sha256": record.sha256})],
        }
    stated = step.with_asked(record.lock.asked).recipe
    recipe = stated.fingerprint if stated and stated.says_how else None
    published = json.loads(context.public(json.dumps(recipe)))
    return {
        "buildType": provenance.BUILT,
        "externalParameters": {**external, "recipe": published, "source": context.public(record.source)},
        "internalParameters": {
            "sdist": record.lock.sdist,
            "requirements": record.lock.requirements,
            "as_of": str(record.lock.as_of) if record.lock.as_of else None,
            "day": str(record.lock.day) if record.lock.day else None,
            "target": digest_of(target=context.target.fingerprint),
            "code": context.code_digest,
            "toolchain": dict(record.toolchain),
            "sandbox": record.sandbox,
        },
        "resolvedDependencies": list(_dependencies(record.materials)) if record.materials else [],
    }


def _dependencies(materials: Materials) -> Iterator[Mapping[str, object]]:
    """Yield the dependencies of a build: the source and its patches, linked libraries, the build requirements."""
    for material in materials:
        name = f"{material.name}=={material.version}" if material.version else material.name
        url = _url(material)
        uri = {"uri": url} if url else {}
        for digest in _digests(material) or [{}]:
            yield {**_dependency(name, digest), **uri, "annotations": {"role": material.role}}
        for patch in material.patches:
            yield {**_dependency(patch.name, {"sha256": patch.sha256}), "annotations": {"role": "patch"}}


def _url(material: Material) -> str | None:
    """Return the package URL of a material, with the name of its file if that is known."""
    if material.purl is None or material.file is None:
        return material.purl
    return PackageURL.from_string(material.purl)._replace(qualifiers={"file_name": material.file}).to_string()


def _digests(material: Material) -> list[Mapping[str, str]]:
    """Return the digests of a material; one for each file that its lock allows if it is not known which was used."""
    kind, _, commit = (material.commit or "").partition(":")
    named = [{_GIT[kind]: commit}] if kind in _GIT else []
    return [*({"sha256": sha256} for sha256 in material.sha256), *named]


def _dependency(name: str, digest: Mapping[str, str]) -> Mapping[str, object]:
    return {"name": name, "digest": digest} if digest else {"name": name}


def _of_other_target(record: WheelRecord, wheel: Path, target: Target) -> Mapping[str, object] | None:
    """Return the provenance of a wheel that was built for another target and also serves this one."""
    if record.instead_of is None:
        return None
    own = provenance.path_beside(wheel, target.name)
    for path in provenance.paths_beside(wheel):
        found = provenance.read_unverified(path) if path != own else None
        if found is not None and [subject["digest"]["sha256"] for subject in found["subject"]] == [
            record.sha256
        ]:
            return dict(found["predicate"]["buildDefinition"])
    return None
