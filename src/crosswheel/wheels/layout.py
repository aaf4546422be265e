"""Defines the suffixes of files that lie beside a wheel, whose names begin with the wheel's."""

from __future__ import annotations

METADATA_SUFFIX = ".metadata"
"""The wheel's METADATA, for clients that do not need the whole wheel (PEP 658)."""
PROOF_SUFFIX = ".proof.json"
"""A proof: ``<wheel>.<target>.proof.json``."""
PROVENANCE_SUFFIX = ".provenance.json"
"""The provenance, which tells who made the wheel from what: ``<wheel>.<target>.provenance.json``."""
SBOM_SUFFIX = ".cdx.json"
"""The SBOM (CycloneDX) of a taken wheel: ``<wheel>.<target>.cdx.json``."""
CLOSURE_SUFFIX = f".closure{SBOM_SUFFIX}"
"""The SBOM of a program with its closure, beside the program's wheel: ``<wheel>.<target>.closure.cdx.json``."""
SIDECAR_SUFFIXES = (PROOF_SUFFIX, PROVENANCE_SUFFIX, SBOM_SUFFIX)
"""The files that are published with a wheel, one for each target."""
YANKED_SUFFIX = ".yanked"
"""A file that yanks the wheel (PEP 592); its content is the reason."""
LOG_SUFFIX = ".log.txt"
"""The log of the wheel's build."""
BATCH_SUFFIX = ".batch.jsonl"
"""Where a batch for a target stands; it lies at the top of the tree of wheels: ``<target>.batch.jsonl``."""
FAILURE_SUFFIX = ".failed.json"
"""The report of a failed build, in the folder that the wheel would be in: ``<target>.failed.json``."""
