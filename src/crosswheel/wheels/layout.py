"""How the names of files that lie beside a wheel end; they begin with the wheel's."""

from __future__ import annotations

METADATA_SUFFIX = ".metadata"
"""The wheel's METADATA, for clients that want no more of it (PEP 658)."""
PROOF_SUFFIX = ".proof.json"
"""A proof; the proof for a further target has its name before this: ``<wheel>.<target>.proof.json``."""
PROVENANCE_SUFFIX = ".provenance.json"
"""What says what a wheel was made of, and by whom: ``<wheel>.<target>.provenance.json``."""
SBOM_SUFFIX = ".cdx.json"
"""An SBOM (CycloneDX): ``<wheel>.<target>.cdx.json`` is that of a wheel that was taken."""
CLOSURE_SUFFIX = f".closure{SBOM_SUFFIX}"
"""One of a program with all that it needs, beside the program's wheel: ``<wheel>.<target>.closure.cdx.json``."""
SIDECAR_SUFFIXES = (PROOF_SUFFIX, PROVENANCE_SUFFIX, SBOM_SUFFIX)
"""What is published with a wheel, and told apart by target."""
YANKED_SUFFIX = ".yanked"
"""Its presence yanks the wheel (PEP 592); what is in it is the reason."""
LOG_SUFFIX = ".log.txt"
"""The log of the wheel's build."""
BATCH_SUFFIX = ".batch.jsonl"
"""Where a batch for a target stands; it lies at the top of the tree of wheels: ``<target>.batch.jsonl``."""
FAILURE_SUFFIX = ".failed.json"
"""What could not be built lies where the wheel would: ``<target>.failed.json``."""
