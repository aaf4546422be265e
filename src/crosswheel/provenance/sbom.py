"""Write the SBOM of a wheel: CycloneDX 1.6 as JSON, with the same bytes for the same materials.

Linked code is listed as components. The source is the ancestor, with its patches. Build requirements are
components with the scope ``excluded``, because they are not in the wheel.
"""

from __future__ import annotations

import datetime
import hashlib
import uuid
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version as installed_version

from cyclonedx.model import (
    AttachedText,
    ExternalReference,
    ExternalReferenceType,
    HashAlgorithm,
    HashType,
    Property,
    XsUri,
)
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import (
    Commit,
    Component,
    ComponentScope,
    ComponentType,
    Diff,
    Patch,
    PatchClassification,
    Pedigree,
)
from cyclonedx.model.component_evidence import ComponentEvidence, Occurrence
from cyclonedx.model.dependency import Dependency
from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output.json import JsonV1Dot6
from license_expression import Licensing, get_spdx_licensing
from packageurl import PackageURL

from crosswheel.wheels.materials import Material, Materials
from crosswheel.wheels.materials import Patch as AppliedPatch

SBOM_NAME = "crosswheel.cdx.json"
"""The file in ``*.dist-info/sboms/`` of a built wheel."""
NAMESPACE = "crosswheel"
"""The namespace of properties for which CycloneDX has no field."""
_SERIALS = uuid.uuid5(uuid.NAMESPACE_DNS, "crosswheel.sbom")


@dataclass(frozen=True)
class Described:
    """The identity of a wheel in its SBOM.

    Attributes:
        filename: the wheel's file name, or the name that its build gave it.
        licence: its License-Expression (PEP 639), if it has one.
        sha256: the hash of its bytes; unknown in an SBOM inside the wheel.
        kept: the other SBOMs in it, by their paths in ``*.dist-info/sboms/``, such as maturin's or auditwheel's.
    """

    name: str
    version: str
    filename: str
    licence: str | None = None
    sha256: str | None = None
    kept: Mapping[str, bytes] = field(default_factory=dict)


def wheel_sbom(wheel: Described, materials: Materials, epoch: int) -> bytes:
    """Return the SBOM of a built wheel.

    Args:
        epoch: the build's ``SOURCE_DATE_EPOCH``; no clock is read.
    """
    linked = [material_component(material) for material in materials.linked]
    required = [_with_scope(material_component(material)) for material in materials.requirements]
    subject = _subject(wheel, _pedigree(materials.source))
    parents = {str(item.purl): item for item in linked}
    inside = {
        material.parent: component for material, component in zip(materials.linked, linked) if material.parent
    }
    dependencies = [
        Dependency(subject.bom_ref, [Dependency(component.bom_ref) for component in linked]),
        *(
            Dependency(parents[purl].bom_ref, [Dependency(component.bom_ref)])
            for purl, component in inside.items()
            if purl in parents
        ),
    ]
    unknown = [Property(name=f"{NAMESPACE}:unknown", value=member) for member in materials.unknown]
    return written(subject, [*linked, *required], dependencies, epoch, unknown)


def written(
    subject: Component,
    components: Iterable[Component],
    dependencies: Iterable[Dependency],
    epoch: int,
    properties: Sequence[Property] = (),
) -> bytes:
    """Return an SBOM as JSON; its serial number derives from its contents, its time is ``epoch``."""
    bom = Bom(components=components, dependencies=dependencies, properties=properties)
    tool = Component(
        name="crosswheel",
        version=installed_version("crosswheel"),
        type=ComponentType.APPLICATION,
        purl=PackageURL("pypi", None, "crosswheel", installed_version("crosswheel")),
    )
    time = datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc)
    bom.metadata = BomMetaData(component=subject, tools=ToolRepository(components=[tool]), timestamp=time)
    bom.serial_number = _SERIALS
    with warnings.catch_warnings():
        # For a wheel without linked code, the library warns about missing dependencies.
        warnings.filterwarnings("ignore", "The Component this BOM is describing", UserWarning)
        content = JsonV1Dot6(bom).output_as_string(indent=1)
    serial = uuid.uuid5(_SERIALS, hashlib.sha256(content.encode()).hexdigest())
    return (content.replace(str(_SERIALS), str(serial), 1) + "\n").encode()


def material_component(material: Material) -> Component:
    """Return a material as a component, without a scope."""
    url = PackageURL.from_string(material.purl) if material.purl else None
    properties = [Property(name=f"{NAMESPACE}:role", value=material.role)]
    if material.debian:
        properties.append(Property(name=f"{NAMESPACE}:debian-source", value=material.debian))
    if material.commit:
        properties.append(Property(name=f"{NAMESPACE}:commit", value=material.commit))
    name = f"{material.role}:{material.purl or material.name}"
    # The library sorts by these; without them, the order is that of the objects in memory.
    where = [Occurrence(bom_ref=f"{name}#{file}", location=file) for file in material.files]
    return Component(
        name=material.name,
        version=material.version,
        type=ComponentType.LIBRARY,
        purl=url,
        bom_ref=name,
        licenses=licences_of(material.licence),
        hashes=hashes_of(material.sha256[0] if len(material.sha256) == 1 and _is_for_all(material) else None),
        properties=properties,
        evidence=ComponentEvidence(occurrences=where) if where else None,
        pedigree=Pedigree(patches=map(_patch, material.patches)) if material.patches else None,
    )


def _is_for_all(material: Material) -> bool:
    """Whether every host uses the same file of it, so that wheels that hosts of several kinds build are the same."""
    file = material.file
    return file is None or not file.endswith(".whl") or file.endswith("-any.whl")


def _with_scope(component: Component) -> Component:
    component.scope = ComponentScope.EXCLUDED
    return component


def _subject(wheel: Described, pedigree: Pedigree | None) -> Component:
    url = PackageURL("pypi", None, wheel.name, wheel.version, {"file_name": wheel.filename})
    references = [
        ExternalReference(
            type=ExternalReferenceType.BOM,
            url=XsUri(path),
            hashes=hashes_of(hashlib.sha256(data).hexdigest()),
            comment="an SBOM that the build wrote, in the same folder of the wheel",
        )
        for path, data in sorted(wheel.kept.items())
    ]
    return Component(
        name=wheel.name,
        version=wheel.version,
        type=ComponentType.LIBRARY,
        purl=url,
        bom_ref=url.to_string(),
        licenses=licences_of(wheel.licence),
        hashes=hashes_of(wheel.sha256),
        external_references=references,
        pedigree=pedigree,
    )


def _pedigree(source: Material) -> Pedigree:
    ancestor = material_component(source.model_copy(update={"patches": ()}))
    commits = [Commit(uid=source.commit.partition(":")[2])] if source.commit else []
    return Pedigree(ancestors=[ancestor], commits=commits, patches=map(_patch, source.patches))


def _patch(patch: AppliedPatch) -> Patch:
    return Patch(type=PatchClassification.UNOFFICIAL, diff=Diff(text=AttachedText(content=patch.text)))


def hashes_of(sha256: str | None) -> list[HashType]:
    """Return a SHA-256 in CycloneDX's form."""
    return [HashType(alg=HashAlgorithm.SHA_256, content=sha256)] if sha256 else []


def licences_of(text: str | None) -> list[LicenseExpression | DisjunctiveLicense]:
    """Return a licence as an SPDX expression if it is valid; by its name otherwise."""
    if not text:
        return []
    stated = _spdx().validate(text)
    if stated.errors:
        return [DisjunctiveLicense(name=text)]
    return [LicenseExpression(value=stated.normalized_expression)]


@lru_cache
def _spdx() -> Licensing:
    return get_spdx_licensing()
