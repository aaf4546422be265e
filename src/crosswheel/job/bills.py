"""Writes SBOMs beside wheels in ``dist/``: for each taken wheel, and for each root with its closure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from crosswheel.files import update_bytes
from crosswheel.job.context import BuildContext
from crosswheel.job.record import WheelRecord
from crosswheel.job.requirement_graph import Requirements
from crosswheel.provenance.closure import closure_sbom, taken_sbom
from crosswheel.toolchain.python.brought import python_part
from crosswheel.wheels.layout import CLOSURE_SUFFIX, SBOM_SUFFIX
from crosswheel.wheels.writing import EPOCH


def write_sboms(
    name: str,
    records: Mapping[str, WheelRecord],
    requirements: Requirements,
    placed: Path,
    context: BuildContext,
) -> None:
    """Write the SBOMs that lie beside a proven wheel; a built wheel carries its own SBOM inside.

    Args:
        name: the wheel's package.
        records: the wheels of its closure, by package.
        placed: the wheel's path in ``dist/``.

    Raises:
        StorageError: an SBOM cannot be written.
    """
    record, front = records[name], f"{placed.name}.{context.target.name}"
    if record.origin == "taken":
        update_bytes(placed.with_name(front + SBOM_SUFFIX), taken_sbom(record.wheel, record.sha256, EPOCH))
    if name in requirements.roots:
        reached, _ = requirements.follow([name], records)
        wheels = {records[other].wheel: records[other].sha256 for other in reached}
        interpreter = python_part(context.target, context.settings, context.general_runner)
        bill = closure_sbom(name, wheels, context.target.marker_environment, EPOCH, interpreter)
        update_bytes(placed.with_name(front + CLOSURE_SUFFIX), bill)
