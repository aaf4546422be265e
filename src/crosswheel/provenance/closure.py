"""Write SBOMs next to wheels: of a published wheel taken as it is, and of a program with its whole closure."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from cyclonedx.model import Property
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.dependency import Dependency
from packageurl import PackageURL
from packaging.markers import UndefinedEnvironmentName
from packaging.metadata import parse_email
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier
from packaging.utils import canonicalize_name

from crosswheel.provenance.parts import Part, parts_of_wheel
from crosswheel.provenance.sbom import NAMESPACE, hashes_of, licences_of, written
from crosswheel.wheels.legacy import repaired_requirement
from crosswheel.wheels.reading import read_metadata


def closure_sbom(
    root: str,
    wheels: Mapping[Path, str],
    environment: Mapping[str, str],
    epoch: int,
    interpreter: Part | None = None,
) -> bytes:
    """Return one SBOM of wheels that are installed together, each with its parts.

    Args:
        root: the normalised name of the package that needs the others.
        wheels: the wheels, each with its SHA-256.
        environment: the values of environment markers (PEP 508).
        epoch: the SBOM's time, in seconds since 1970.
        interpreter: the Python that is installed with them, if it is not the machine's own.

    Raises:
        IntegrityError: a wheel cannot be read.
    """
    components, properties, required = dict[str, Component](), list[Property](), dict[str, list[str]]()
    for path, sha256 in sorted(wheels.items(), key=lambda item: item[0].name):
        part, refusals = parts_of_wheel(path, sha256)
        components[part.name] = _component(part, ())
        required[part.name] = _required(path, environment)
        properties += [Property(name=f"{NAMESPACE}:unreadable", value=refusal) for refusal in refusals]
    dependencies = [
        Dependency(
            component.bom_ref,
            [Dependency(components[other].bom_ref) for other in required[name] if other in components],
        )
        for name, component in components.items()
    ]
    others = [component for name, component in components.items() if name != root]
    if interpreter:
        others.append(_component(interpreter, ()))
    return written(components[root], others, dependencies, epoch, properties)


def _required(wheel: Path, environment: Mapping[str, str]) -> list[str]:
    """Return the normalised names of a wheel's requirements without extras, as far as they are readable."""
    raw, _ = parse_email(read_metadata(wheel))
    names = set()
    for text in raw.get("requires_dist", ()):
        with contextlib.suppress(InvalidRequirement, InvalidSpecifier, UndefinedEnvironmentName):
            requirement = Requirement(repaired_requirement(text))
            if requirement.marker is None or requirement.marker.evaluate({**environment, "extra": ""}):
                names.add(canonicalize_name(requirement.name))
    return sorted(names)


@lru_cache(maxsize=256)  # closures of a batch have wheels in common
def taken_sbom(path: Path, sha256: str, epoch: int) -> bytes:
    """Return the SBOM of a wheel from the registry: its identity, and the contents of SBOMs in it.

    Raises:
        IntegrityError: the wheel cannot be read.
    """
    part, refusals = parts_of_wheel(path, sha256)
    properties = [Property(name=f"{NAMESPACE}:unreadable", value=refusal) for refusal in refusals]
    return written(_component(part, ()), [], [], epoch, properties)


def _component(part: Part, way: tuple[str, ...]) -> Component:
    """Return a part with its parts; ``way``, the path to it, tells equal parts of two wheels apart."""
    here = (*way, part.purl or part.name)
    return Component(
        name=part.name,
        version=part.version,
        type=ComponentType.LIBRARY,
        purl=PackageURL.from_string(part.purl) if part.purl else None,
        bom_ref="/".join(here),
        licenses=licences_of(part.licence),
        hashes=hashes_of(part.sha256),
        properties=_properties(part),
        components=[_component(inner, here) for inner in part.parts],
    )


def _properties(part: Part) -> Iterator[Property]:
    if part.role:
        yield Property(name=f"{NAMESPACE}:role", value=part.role)
    if part.debian:
        yield Property(name=f"{NAMESPACE}:debian-source", value=part.debian)
